//! Publish rules: the internal names that mirrored content is also served under.
//!
//! A rule has patterns over `host/path` and a template. In a pattern `*` stands for one or more characters. In a template
//! `{1}` is what the first star stood for, `{2}` the second, and `{name}` the last component of the path. A published
//! name is a second link to the same manifest: nothing is copied. Knows neither archives nor the store.

use std::str::FromStr;

use airdock_registry::oci::RepositoryName;

/// Bounds matching: a pattern with many stars could be slow on a hostile name.
const MAX_STARS: usize = 9;
const MAX_LEN: usize = 512;

/// One rule as it is written in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Patterns over `host/path`; any of them may match. `*` stands for any run of characters and is `{1}`, `{2}` … in `to`.
    pub from: Vec<String>,
    /// The internal name: text with `{1}` … for what the stars stood for and `{name}` for the last component of the path.
    pub to: String,
    /// Whether content found under one name in `from` is also served under the others that have no star.
    pub alias: bool,
}

/// Rules in order; the first that matches a name applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishRules(pub Vec<Rule>);

impl PublishRules {
    /// Checks the rules.
    ///
    /// # Errors
    /// The first invalid pattern or template.
    pub fn check(&self) -> Result<(), InvalidRule> {
        Publisher::new(self).map(|_| ())
    }
}

impl Default for PublishRules {
    /// The names in ZenML's documentation (design notes, section 1): ECR, Artifact Registry and Docker Hub to
    /// `zenml/…`, the charts of the public gallery to `charts/…`.
    fn default() -> Self {
        let image = |name: &str, region: &str| Rule {
            from: vec![
                format!("715803424590.dkr.ecr.{region}.amazonaws.com/{name}"),
                format!("europe-west3-docker.pkg.dev/zenml-cloud/zenml-pro/{name}"),
                format!("715803424590.dkr.ecr.*.amazonaws.com/{name}"),
            ],
            to: format!("zenml/{name}"),
            alias: true,
        };
        let one = |from: &str, to: &str| Rule { from: vec![from.into()], to: to.into(), alias: true };
        Self(vec![
            image("zenml-pro-api", "eu-west-1"),
            image("zenml-pro-dashboard", "eu-west-1"),
            image("zenml-pro-server", "eu-central-1"),
            one("docker.io/zenmldocker/zenml", "zenml/zenml"),
            one("public.ecr.aws/zenml/zenml-pro", "charts/zenml-pro"),
            one("public.ecr.aws/zenml/zenml", "charts/zenml"),
        ])
    }
}

/// [`PublishRules`], checked and compiled.
#[derive(Clone, Debug)]
pub struct Publisher(Vec<Compiled>);

#[derive(Clone, Debug)]
struct Compiled {
    from: Vec<Pattern>,
    to: Template,
    alias: bool,
}

impl Publisher {
    /// Checks `rules`.
    ///
    /// # Errors
    /// The first invalid pattern or template.
    pub fn new(rules: &PublishRules) -> Result<Self, InvalidRule> {
        rules.0.iter().map(Compiled::new).collect::<Result<_, _>>().map(Self)
    }

    /// The further names of what is stored as `name`: internal ones by template, and aliases. `name` itself is not
    /// among them. A result that is not a repository name is left out.
    #[must_use]
    pub fn further_names(&self, name: &RepositoryName) -> Vec<RepositoryName> {
        let mut names = Vec::new();
        let matching = |rule: &Compiled| rule.from.iter().find_map(|pattern| pattern.stars_of(name.as_str()));
        let Some((rule, stars)) = self.0.iter().find_map(|rule| Some((rule, matching(rule)?))) else { return names };
        if let Ok(internal) = rule.to.fill(&stars, name).parse() {
            push_new(&mut names, internal, name);
        }
        if rule.alias {
            rule.literals().for_each(|alias| push_new(&mut names, alias, name));
        }
        names
    }

    /// The upstream names of content that comes under its internal name, as a chart does: the names without a star in the
    /// rules with `alias` whose template is that name.
    #[must_use]
    pub fn upstream_names(&self, internal: &RepositoryName) -> Vec<RepositoryName> {
        let mut names = Vec::new();
        for rule in self.0.iter().filter(|rule| rule.alias && rule.to.literal() == Some(internal.as_str())) {
            rule.literals().for_each(|alias| push_new(&mut names, alias, internal));
        }
        names
    }
}

fn push_new(names: &mut Vec<RepositoryName>, name: RepositoryName, own: &RepositoryName) {
    if name != *own && !names.contains(&name) {
        names.push(name);
    }
}

impl Compiled {
    fn new(rule: &Rule) -> Result<Self, InvalidRule> {
        let from = rule.from.iter().map(|text| text.parse()).collect::<Result<Vec<Pattern>, _>>()?;
        let to: Template = rule.to.parse()?;
        let stars = from.iter().map(Pattern::stars).min().ok_or_else(|| InvalidRule::NoPattern(rule.to.clone()))?;
        if to.highest > stars {
            return Err(InvalidRule::NoSuchStar { template: rule.to.clone(), star: to.highest, stars });
        }
        Ok(Self { from, to, alias: rule.alias })
    }

    fn literals(&self) -> impl Iterator<Item = RepositoryName> {
        self.from.iter().filter_map(|pattern| pattern.literal()?.parse().ok())
    }
}

/// The texts between the stars of a pattern, with a host's port as in stored names.
#[derive(Clone, Debug)]
struct Pattern(Vec<String>);

impl Pattern {
    fn stars(&self) -> usize {
        self.0.len() - 1
    }

    fn literal(&self) -> Option<&str> {
        if let [text] = self.0.as_slice() { Some(text) } else { None }
    }

    /// What each star stands for in `name`, leftmost stars as short as they can be; `None` when it does not match.
    fn stars_of<'n>(&self, name: &'n str) -> Option<Vec<&'n str>> {
        fn go<'n>(texts: &[String], rest: &'n str, found: &mut Vec<&'n str>, budget: &mut usize) -> bool {
            // Nine stars over 255 bytes have too many combinations to try all.
            *budget = budget.saturating_sub(1);
            let Some((text, later)) = texts.split_first().filter(|_| *budget > 0) else { return false };
            let Some(rest) = rest.strip_prefix(text.as_str()) else { return false };
            if later.is_empty() {
                return rest.is_empty();
            }
            for end in rest.char_indices().map(|(at, c)| at + c.len_utf8()) {
                let (taken, rest) = rest.split_at(end);
                found.push(taken);
                if go(later, rest, found, budget) {
                    return true;
                }
                found.pop();
            }
            false
        }
        let mut found = Vec::new();
        go(&self.0, name, &mut found, &mut 100_000).then_some(found)
    }
}

impl FromStr for Pattern {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/:*".contains(c);
        let pattern = Self(text.replace(':', "_").split('*').map(str::to_owned).collect());
        let literal_fits = pattern.literal().is_none_or(|name| name.parse::<RepositoryName>().is_ok());
        if text.len() > MAX_LEN || !text.chars().all(fits) || pattern.stars() > MAX_STARS || !literal_fits {
            return Err(InvalidRule::Pattern(text.chars().take(MAX_LEN).collect()));
        }
        Ok(pattern)
    }
}

/// A template as it is written, and the highest star it uses.
#[derive(Clone, Debug)]
struct Template {
    text: String,
    highest: usize,
}

impl Template {
    fn literal(&self) -> Option<&str> {
        (!self.text.contains('{')).then_some(&self.text)
    }

    fn fill(&self, stars: &[&str], name: &RepositoryName) -> String {
        let last = name.components().next_back().unwrap_or_default();
        // No name has braces, so that nothing is replaced twice.
        let named = self.text.replace("{name}", last);
        let numbered = stars.iter().zip(1..);
        numbered.fold(named, |text, (star, number)| text.replace(&format!("{{{number}}}"), star))
    }
}

impl FromStr for Template {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let invalid = || InvalidRule::Template(text.chars().take(MAX_LEN).collect());
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c);
        let mut pieces = text.split('{');
        let mut literal = pieces.next().unwrap_or_default().to_owned();
        let mut highest = 0;
        for piece in pieces {
            let (slot, after) = piece.split_once('}').ok_or_else(invalid)?;
            match (slot, slot.as_bytes()) {
                ("name", _) => {}
                (_, [digit @ b'1'..=b'9']) => highest = highest.max(usize::from(digit - b'0')),
                _ => return Err(invalid()),
            }
            literal.push_str(after);
        }
        let template = Self { text: text.to_owned(), highest };
        let literal_fits = template.literal().is_none_or(|name| name.parse::<RepositoryName>().is_ok());
        if text.is_empty() || text.len() > MAX_LEN || !literal.chars().all(fits) || !literal_fits {
            return Err(invalid());
        }
        Ok(template)
    }
}

/// Why a rule is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// A pattern outside its grammar.
    #[error("pattern `{0}` is not `host/path` in lower case with at most {MAX_STARS} stars")]
    Pattern(String),
    /// A template outside its grammar.
    #[error("template `{0}` is not a repository name in which `{{1}}` to `{{9}}` and `{{name}}` may stand")]
    Template(String),
    /// A rule that can match nothing.
    #[error("the rule for `{0}` has no pattern; give at least one in `from`")]
    NoPattern(String),
    /// A slot that no pattern fills.
    #[error("template `{template}` uses star {star}, but a pattern of its rule has only {stars}")]
    NoSuchStar {
        /// The template.
        template: String,
        /// The star it uses.
        star: usize,
        /// The number of stars in the pattern with the fewest.
        stars: usize,
    },
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
