//! `plantain info`

use crate::args::InfoArgs;
use crate::failure::Failure;
use crate::out;

pub(crate) fn run(args: &InfoArgs) -> Result<(), Failure> {
    if args.raw {
        return out::line(plantain::read_parameters_text(&args.file)?);
    }
    out::line(plantain::read_parameters(&args.file)?.command_line())
}
