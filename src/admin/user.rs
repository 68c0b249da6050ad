//! The user of a process, for the records, by name where the system has one.

use std::io::Read as _;

/// How much of the list of users is read, in bytes.
const MAX_USERS: u64 = 4 << 20;

/// The user this process runs as; the environment is not asked.
pub(crate) fn own() -> String {
    name(rustix::process::geteuid().as_raw())
}

/// The name of a user, or its number.
pub(crate) fn name(id: u32) -> String {
    let mut users = String::new();
    let read = std::fs::File::open("/etc/passwd").and_then(|file| file.take(MAX_USERS).read_to_string(&mut users));
    let found = read.ok().and_then(|_| find(&users, id));
    found.map_or_else(|| format!("user {id}"), str::to_owned)
}

fn find(users: &str, id: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_or_at_least_a_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\n\n# a note\n:x:7:\nops:x:1000:1000::/home/ops:/bin/sh\n";
        assert_eq!(find(users, 1000), Some("ops"));
        assert_eq!((find(users, 7), find(users, 100)), (None, None));
        assert_eq!(name(u32::MAX - 7), format!("user {}", u32::MAX - 7));
    }
}
