//! `plantain info`

use crate::args::InfoArgs;
use crate::failure::Failure;

pub(crate) fn run(args: &InfoArgs) -> Result<(), Failure> {
    let parameters = plantain::read_parameters(&args.file)?;
    if args.raw {
        println!("{parameters}");
    } else {
        println!("{}", parameters.command_line());
    }
    Ok(())
}
