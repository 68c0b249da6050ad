//! Which command to run next, for failures that a command can solve. The registry and the administration API name no
//! commands: a console has buttons instead.

use crate::exit::{Code, Failure};
use crate::view::text::printable;

/// An error as people read it: all its causes, and the command that helps if there is one.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    match error.chain().find_map(|cause| cause.downcast_ref::<Failure>()) {
        // Its message may have names from an untrusted archive in it.
        Some(failure) => printable(&format!("{error:#}")) + &hint(failure),
        None => format!("{error:#}"),
    }
}

fn hint(failure: &Failure) -> String {
    let id = failure.release.map_or_else(|| "ID".to_owned(), |id| id.to_string());
    match failure.code {
        Code::ReleaseUnknown | Code::NotARelease => "; list them with `airdock releases`".to_owned(),
        Code::ReleasePinned => format!("; `airdock release unpin {id}` lets it be removed"),
        Code::ReleaseInEffect => ", with `airdock release rollback`".to_owned(),
        Code::NothingBefore => {
            format!(
                "; to remove what it brought: `airdock release rm {id}`; to go forward: `airdock release rollback ID`"
            )
        }
        Code::NoneInEffect => ": `airdock release rollback ID`".to_owned(),
        Code::InvalidReference => "; `airdock ls` lists what there is".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use airdock_registry::{Error, ReleaseError};

    use super::*;

    fn shown(error: ReleaseError) -> String {
        sentence(&Failure::of("cannot do it", &Error::Release(error)).into())
    }

    #[test]
    fn a_refusal_about_a_release_names_the_command_that_helps() {
        let expected = "release 3 is pinned; `airdock release unpin 3` lets it be removed";
        assert_eq!(shown(ReleaseError::Pinned(3)), expected);
        let expected = "release 3 is in effect; go back to another first, with `airdock release rollback`";
        assert_eq!(shown(ReleaseError::InEffect(3)), expected);
        let expected = "no release is in effect; name the one to go to: `airdock release rollback ID`";
        assert_eq!(shown(ReleaseError::NoneInEffect), expected);
        assert_eq!(shown(ReleaseError::Unknown(3)), "there is no release 3; list them with `airdock releases`");
        assert!(shown(ReleaseError::NothingBefore(3)).contains("`airdock release rm 3`"));
        assert_eq!(sentence(&anyhow::anyhow!("the disk is full")), "the disk is full");
    }
}
