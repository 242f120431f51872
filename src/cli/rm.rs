//! `rm`: removes a file.

use super::failure::{Exit, Failure};
use super::options::{GlobalOptions, RmArgs};
use super::output::{Output, on_one_line};
use crate::domain::S3Uri;

pub(super) async fn run(global: &GlobalOptions, args: RmArgs, output: Output) -> Result<Exit, Failure> {
    let output = output.quieted(args.quiet);
    let object = args.uri.parse::<S3Uri>()?.object()?;
    let service = global.service(Default::default()).await?;
    let name = on_one_line(&object.to_string());
    if args.dryrun {
        service.deletion_of(&object).await?;
        output.line(format!("(dryrun) delete: {name}"))?;
    } else {
        service.delete(&object).await?;
        output.line(format!("delete: {name}"))?;
    }
    Ok(Exit::Done)
}
