//! `plantain info`

use crate::args::InfoArgs;
use crate::failure::Failure;
use crate::out;

pub(crate) fn run(args: &InfoArgs) -> Result<(), Failure> {
    let parameters = plantain::read_parameters(&args.file)?;
    if args.raw {
        out::line(parameters)
    } else {
        out::line(parameters.command_line())
    }
}
