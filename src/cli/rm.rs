//! `rm`: removes a file.

use super::failure::{Exit, Failure, complain};
use super::options::RmArgs;
use super::output::{Output, on_one_line};
use super::session::Session;
use crate::domain::S3Uri;

pub(super) async fn run(session: &Session, args: RmArgs, output: Output) -> Result<Exit, Failure> {
    let output = output.quieted(args.quiet);
    let object = args.uri.parse::<S3Uri>()?.object()?;
    let service = session.service(Default::default()).await?;
    let name = on_one_line(&object.to_string());
    if args.dryrun {
        service.deletion_of(&object).await?;
        output.line(format!("(dryrun) delete: {name}"))?;
    } else {
        let deletion = service.delete(&object).await?;
        output.line(format!("delete: {name}"))?;
        for warning in &deletion.warnings {
            complain("warning", warning);
        }
        if !deletion.warnings.is_empty() {
            return Ok(Exit::Warned);
        }
    }
    Ok(Exit::Done)
}
