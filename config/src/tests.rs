//! Tests of the crate as a whole.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use airdock_registry::server::TlsFiles;
use airdock_registry::{OnConflict, References};

use super::*;

type Variables = Vec<(OsString, OsString)>;

/// Loads a file with this text and these variables, and no flags.
fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Config, Errors> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("airdock.toml");
    std::fs::write(&file, text).unwrap();
    let overrides = Overrides { file: Some(file), ..Overrides::default() };
    load(overrides, environment(variables))
}

fn environment(variables: &[(&str, &str)]) -> Variables {
    variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// The errors of a file, without the path of its folder.
fn complaint(text: &str, variables: &[(&str, &str)]) -> String {
    let errors = load_text(text, variables).unwrap_err();
    let places = errors.iter().find_map(|error| match &error.set_in {
        SetIn::File(path) => path.parent().map(|folder| format!("{}/", folder.display())),
        _ => None,
    });
    errors.to_string().replace(&places.unwrap_or_default(), "")
}

#[test]
fn without_any_layer_the_rooms_defaults_hold() {
    let config = load(Overrides::default(), Variables::new()).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.server.listen, ["127.0.0.1:5000".parse().unwrap()]);
    assert_eq!(config.registry.data, Path::new("airdock-data"));
}

#[test]
fn the_reference_says_the_default_of_every_key() {
    let mut config = load_text(REFERENCE, &[]).unwrap();
    config.file = None;
    assert_eq!(config, Config::default());
}

#[test]
fn the_reference_explains_every_key_but_those_of_a_later_rule() {
    let mut explained = false;
    let mut seen_rule = false;
    for line in REFERENCE.lines() {
        if line.starts_with('#') {
            explained = true;
        } else if line.contains(" = ") {
            // `key` follows `certificate`, and the rules follow the first one: one comment speaks for all.
            assert!(explained || seen_rule || line.starts_with("key"), "no comment above `{line}`");
            explained = false;
        } else if line == "[[publish]]" {
            seen_rule = true;
        } else if line.starts_with('[') {
            seen_rule = false;
        }
    }
}

#[test]
fn what_is_written_out_reads_back_the_same() {
    let mut config = load_text(
        "publish = []\n[server]\nlisten = ['[::1]:0', '0.0.0.0:443']\n[server.tls]\ncertificate = 'a \"b\".pem'\nkey = 'k'\n\
         [server.limits]\nidle = '250ms'\nmax_header_bytes = '9KiB'\n[registry]\nreferences = 'lax'\ndelete = false\n\
         [admin]\nlisten = '127.0.0.1:5001'\n[ingest]\nbundles = ['one.tar', 'two']\non_conflict = 'fail'\nprotect = ['zenml/', 'team']\n[mount]\npaths = ['three']\ncopy = true\n[log]\nlevel = 'trace'\nformat = 'json'",
        &[],
    )
    .unwrap();
    let mut read_back = load_text(&config.to_string(), &[]).unwrap();
    (config.file, read_back.file) = (None, None);
    assert_eq!(read_back, config);
    assert_ne!(config, Config::default());
}

/// What is written is also what is read: one list of keys does both.
#[test]
fn the_defaults_written_out_are_the_reference_without_its_comments() {
    let spoken = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.map(str::to_owned).collect()
    };
    assert_eq!(spoken(&Config::default().to_string()), spoken(REFERENCE));
}

#[test]
fn a_variable_wins_over_the_file_and_a_flag_over_both() {
    let text = "[store]\npath = 'file'\n[server]\nlisten = ['127.0.0.1:1']";
    let variables = [
        ("AIRDOCK__STORE__PATH", "variable"),
        ("AIRDOCK__SERVER__LISTEN", "127.0.0.1:2, [::1]:2"),
        ("AIRDOCK__REGISTRY__REFERENCES", "lax"),
        ("AIRDOCK__REGISTRY__DELETE", "false"),
        ("AIRDOCK__SERVER__LIMITS__CONNECTIONS", "7"),
        ("AIRDOCK__SERVER__LIMITS__FIRST_BYTE", "3s"),
    ];
    let from_file = load_text(text, &[]).unwrap();
    assert_eq!(from_file.registry.data, Path::new("file"));

    let config = load_text(text, &variables).unwrap();
    assert_eq!(config.registry.data, Path::new("variable"));
    assert_eq!(config.server.listen.len(), 2);
    assert_eq!(config.registry.references, References::Lax);
    assert!(!config.registry.delete);
    assert_eq!(config.server.limits.connections, 7);
    assert_eq!(config.server.limits.first_byte, Duration::from_secs(3));

    let flags = Overrides {
        data: Some("flag".into()),
        listen: vec!["127.0.0.1:3".parse().unwrap()],
        strict: true,
        keys: vec!["p".into()],
        bundles: vec!["b".into()],
        mounts: vec!["m".into()],
        copy: true,
        tls_certificate: Some("c".into()),
        tls_key: Some("k".into()),
        file: None,
    };
    let config = load(flags, environment(&variables)).unwrap();
    assert_eq!(config.registry.data, Path::new("flag"));
    assert_eq!(config.server.listen, ["127.0.0.1:3".parse().unwrap()]);
    assert!(config.ingest.strict);
    assert_eq!(config.ingest.trust.keys, [PathBuf::from("p")]);
    assert_eq!(config.bundles, [PathBuf::from("b")]);
    assert_eq!(config.mount, MountSettings { paths: vec!["m".into()], copy: true });
    let files = TlsFiles { certificate: "c".into(), key: "k".into() };
    assert_eq!(config.server.tls, Some(files));
}

#[test]
fn text_that_looks_like_a_number_stays_text_in_a_variable() {
    let config = load_text("", &[("AIRDOCK__STORE__PATH", "1e5")]).unwrap();
    assert_eq!(config.registry.data, Path::new("1e5"));
}

#[test]
fn rules_in_a_file_replace_the_built_in_ones() {
    let text = "[[publish]]\nfrom = ['quay.io/*/*']\nto = 'mirror/{2}/{name}'";
    let rules = load_text(text, &[]).unwrap().publish.0;
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].to, "mirror/{2}/{name}");
    assert!(!rules[0].alias);
    assert!(load_text("publish = []", &[]).unwrap().publish.0.is_empty());
}

#[test]
fn all_errors_come_at_once_with_key_place_value_and_cure() {
    let text = r#"
        datadir = "x"
        [server]
        listen = ["localhost:5000", "127.0.0.1:80", "127.0.0.1:80"]
        [server.limts]
        idle = "1m"
        [server.limits]
        idle = 90
        stall = "0s"
        connections = 0
        minimum_rate = "1KB"
        max_header_bytes = "1B"
        [server.tls]
        certificate = "tls.pem"
        [store]
        listen = "x"
        upload_expiry = "15"
        [registry]
        references = "loose"
        delete = "yes"
        [names]
        default_upstream = "https://docker.io"
        upstreams = "ghcr.io"
        [[publish]]
        from = ["quay.io/a", "quay.io//a"]
        form = "x"
        [[publish]]
        from = ["quay.io/*"]
        to = "up/{2}"
        [ingest]
        limits = 5
        bundles = [1]
        [log]
        level = "loud"
    "#;
    let variables = [
        ("AIRDOCK__SERVER__LITEN", "x"),
        ("AIRDOCK__PUBLISH", "x"),
        ("AIRDOCK__SERVER__LIMITS__MAX_STREAMS", "many"),
        ("AIRDOCK__SERVER__LIMITS__DRAIN", "5"),
    ];
    let expected = include_str!("../tests/all-errors.txt");
    let found = complaint(text, &variables) + "\n";
    if std::env::vars_os().any(|(name, _)| name == "UPDATE_GOLDEN") {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all-errors.txt"), &found).unwrap();
        return;
    }
    assert_eq!(found, expected, "set UPDATE_GOLDEN=1 to accept");
}

#[test]
fn the_administration_api_listens_on_loopback_only() {
    let listen = |text: &str| load_text(&format!("[admin]\nlisten = '{text}'"), &[]).map(|config| config.admin_listen);
    assert_eq!(listen("").unwrap(), None);
    for address in ["127.0.0.1:5001", "127.3.2.1:0", "[::1]:5001"] {
        assert_eq!(listen(address).unwrap(), Some(address.parse().unwrap()));
    }
    for address in ["0.0.0.0:5001", "[::]:5001", "10.0.0.1:5001"] {
        let error = listen(address).unwrap_err().to_string();
        assert!(error.contains("no identities yet") && error.contains("a later version has identities"), "{error}");
    }
    assert!(listen("5001").unwrap_err().to_string().contains("is not an address to listen on"));
}

#[test]
fn a_dot_in_a_quoted_key_leads_into_no_table() {
    let found = complaint("\"server.listen\" = ['127.0.0.1:1']\n[\"ingest.limits\"]\ndepth = 2", &[]);
    assert!(found.contains("`server.listen` in `airdock.toml`: no such key"), "{found}");
    assert!(found.contains("`ingest.limits` in `airdock.toml`: no such key"), "{found}");
}

#[test]
fn a_file_that_is_not_toml_is_shown_where_it_breaks() {
    let found = complaint("[server]\nlisten = = 5", &[]);
    assert!(found.starts_with("1 setting cannot be used:\n  in `airdock.toml`: not TOML: "), "{found}");
    assert!(found.contains("line 2"), "{found}");
}

#[test]
fn a_file_that_was_asked_for_has_to_be_there() {
    let missing = || PathBuf::from("no-such-folder/airdock.toml");
    let overrides = Overrides { file: Some(missing()), ..Overrides::default() };
    let asked = load(overrides, Variables::new()).unwrap_err().to_string();
    assert!(asked.contains("on the command line: cannot read `no-such-folder/airdock.toml`"), "{asked}");
    let named = environment(&[(FILE_VARIABLE, "no-such-folder/airdock.toml")]);
    let named = load(Overrides::default(), named).unwrap_err().to_string();
    assert!(named.contains("in the variable `AIRDOCK_CONFIG`: cannot read"), "{named}");
}

#[test]
fn a_file_of_any_size_is_not_read_whole() {
    let found = complaint(&"# large\n".repeat(40_000), &[]);
    assert!(found.contains("larger than 262144 bytes"), "{found}");
}

#[test]
fn a_variable_that_is_not_text_is_refused_and_not_lost() {
    let value = OsString::from_vec(vec![0xff, 0xfe]);
    let variables = vec![("AIRDOCK__STORE__PATH".into(), value)];
    let found = load(Overrides::default(), variables).unwrap_err().to_string();
    assert!(found.contains("`store.path` in the variable `AIRDOCK__STORE__PATH`"), "{found}");
}

#[test]
fn variables_of_others_are_not_ours() {
    let variables = environment(&[("AIRDOCKER", "x"), ("AIRDOCK_OTHER", "x"), ("PATH", "x")]);
    assert_eq!(load(Overrides::default(), variables).unwrap(), Config::default());
}

#[test]
fn a_prefix_to_protect_is_the_beginning_of_a_name() {
    let config =
        load_text("[ingest]\nprotect = ['zenml/', 'docker.io/zenmldocker']\non_conflict = 'replace'", &[]).unwrap();
    assert_eq!(config.ingest.precedence.protect, ["zenml/", "docker.io/zenmldocker"]);
    assert_eq!(config.ingest.precedence.on_conflict, OnConflict::Replace);
    let errors = load_text("[ingest]\nprotect = ['/zenml', 'Team']\non_conflict = 'win'", &[]).unwrap_err().to_string();
    for part in ["`/zenml`", "`Team`", "`win`"] {
        assert!(errors.contains(part), "{errors}");
    }
}

#[test]
fn a_key_without_a_name_does_not_come_to_mean_that_none_is_asked_for() {
    for (text, variables) in [
        ("[ingest.trust]\nkeys = ['']", &[][..]),
        ("[ingest.trust]\nkeys = ['a.pub']", &[("AIRDOCK__INGEST__TRUST__KEYS", "")][..]),
        ("[ingest.trust]\nkeys = 'a.pub'", &[][..]),
    ] {
        assert!(complaint(text, variables).contains("ingest.trust.keys"), "{text}");
    }
    let config = load_text("[ingest.trust]\nkeys = ['a.pub', 'b.pub']", &[]).unwrap();
    assert_eq!(config.ingest.trust.keys, [PathBuf::from("a.pub"), PathBuf::from("b.pub")]);
}
