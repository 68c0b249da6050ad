//! Tests of the publish rules.

use super::*;
use proptest::prelude::*;

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn texts(names: &[RepositoryName]) -> Vec<&str> {
    names.iter().map(RepositoryName::as_str).collect()
}

fn rule(from: &str, to: &str) -> Result<Publisher, InvalidRule> {
    Publisher::new(&PublishRules(vec![Rule { from: vec![from.into()], to: to.into(), alias: false }]))
}

fn default() -> Publisher {
    Publisher::new(&PublishRules::default()).unwrap()
}

#[test]
fn the_default_is_the_documented_table() {
    let rules = default();
    assert_eq!(PublishRules::default().check(), Ok(()));
    for (upstream, internal) in [
        ("715803424590.dkr.ecr.eu-west-1.amazonaws.com/zenml-pro-api", "zenml/zenml-pro-api"),
        ("715803424590.dkr.ecr.eu-central-1.amazonaws.com/zenml-pro-api", "zenml/zenml-pro-api"),
        ("europe-west3-docker.pkg.dev/zenml-cloud/zenml-pro/zenml-pro-dashboard", "zenml/zenml-pro-dashboard"),
        ("715803424590.dkr.ecr.eu-central-1.amazonaws.com/zenml-pro-server", "zenml/zenml-pro-server"),
        ("docker.io/zenmldocker/zenml", "zenml/zenml"),
        ("public.ecr.aws/zenml/zenml", "charts/zenml"),
        ("public.ecr.aws/zenml/zenml-pro", "charts/zenml-pro"),
    ] {
        assert_eq!(texts(&rules.further_names(&name(upstream)))[0], internal, "{upstream}");
    }
    assert!(rules.further_names(&name("docker.io/library/alpine")).is_empty());
}

#[test]
fn an_image_from_one_upstream_answers_to_the_other_too() {
    let names = default().further_names(&name("europe-west3-docker.pkg.dev/zenml-cloud/zenml-pro/zenml-pro-server"));
    assert_eq!(
        texts(&names),
        ["zenml/zenml-pro-server", "715803424590.dkr.ecr.eu-central-1.amazonaws.com/zenml-pro-server"]
    );
}

#[test]
fn a_chart_that_comes_in_as_a_file_gets_its_upstream_name() {
    let rules = default();
    assert_eq!(texts(&rules.upstream_names(&name("charts/zenml"))), ["public.ecr.aws/zenml/zenml"]);
    assert_eq!(texts(&rules.upstream_names(&name("charts/other"))), Vec::<&str>::new());
}

#[test]
fn a_star_stands_for_any_run_of_characters() {
    let deep = rule("ghcr.io/*/app", "mirror/{1}/{name}").unwrap();
    assert_eq!(texts(&deep.further_names(&name("ghcr.io/acme/app"))), ["mirror/acme/app"]);
    assert_eq!(texts(&deep.further_names(&name("ghcr.io/a/b/app"))), ["mirror/a/b/app"]);
    assert!(deep.further_names(&name("ghcr.io/app")).is_empty());
    let port = rule("registry.example:5000/*", "x/{1}").unwrap();
    assert_eq!(texts(&port.further_names(&name("registry.example_5000/a"))), ["x/a"]);
}

#[test]
fn the_first_rule_that_matches_decides() {
    let rule = |to: &str| Rule { from: vec!["ghcr.io/*".into()], to: to.into(), alias: false };
    let rules = Publisher::new(&PublishRules(vec![rule("first/{1}"), rule("second/{1}")])).unwrap();
    assert_eq!(texts(&rules.further_names(&name("ghcr.io/a"))), ["first/a"]);
}

#[test]
fn rules_that_cannot_work_are_refused_with_their_text() {
    for (from, to) in [
        ("", "a"),
        ("A/b", "a"),
        ("a//b", "a"),
        ("a/b", ""),
        ("a/b", "A"),
        ("a/b", "{0}"),
        ("a/b", "{1}"),
        ("a/*", "{2}"),
        ("a/b", "x{"),
        ("a/b", "x}"),
        ("a/b", "{x}"),
        ("a/b", "/x"),
        ("*a*a*a*a*a*a*a*a*a*a", "x"),
    ] {
        assert!(rule(from, to).is_err(), "{from} -> {to}");
    }
    assert!(matches!(
        PublishRules(vec![Rule { from: vec![], to: "a".into(), alias: true }]).check(),
        Err(InvalidRule::NoPattern(_))
    ));
}

#[test]
fn a_pattern_made_to_be_slow_is_given_up_in_time() {
    let slow = rule(&"*a".repeat(9), "x").unwrap();
    assert_eq!(slow.further_names(&name(&"a".repeat(250))).len(), 1);
    assert!(slow.further_names(&name(&("a".repeat(249) + "b"))).is_empty());
}

proptest! {
    #[test]
    fn patterns_and_templates_read_back_as_written(
        from in "[a-z]{1,4}\\.io(/[a-z]{1,4}|/\\*|/[a-z]\\*[a-z]){1,3}",
        to in "[a-z]{1,4}(/\\{name\\}|/[a-z]{1,4}){0,3}",
    ) {
        prop_assert_eq!(from.parse::<Pattern>().unwrap().0.join("*"), from);
        prop_assert_eq!(to.parse::<Template>().unwrap().text, to);
    }

    #[test]
    fn any_texts_make_a_rule_or_an_error_without_panic(from: String, to in "[a-z{}1-9*/name]{0,20}", asked in "[a-z]{1,5}(/[a-z]{1,5}){0,3}") {
        if let Ok(rules) = rule(&from, &to) {
            let _ = rules.further_names(&name(&asked));
        }
        if let Ok(rules) = rule("*", &to) {
            let _ = rules.further_names(&name(&asked));
        }
    }
}
