//! The tree of categories: what staff declare of it, and where what was moved is now.
//!
//! A product names its categories by path, and a path that nobody declared is a category too. The tree is
//! one document, so that every change of it is whole.

use std::borrow::Cow;

use bson::oid::ObjectId;
use serde::{Deserialize, Serialize};

use super::{MAX_CATEGORY_DEPTH, slug::is_slug};
use crate::clock::Timestamp;

/// The most categories that are declared.
const MAX_NODES: usize = 5_000;
/// The most moves that are remembered.
const MAX_ALIASES: usize = 1_000;
/// The most bytes of a path.
pub const MAX_CATEGORY_PATH: usize = 500;

/// A declared category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryNode {
    /// Its path.
    pub path: String,
    /// Its name for people; none: made from the slug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its place among its siblings: lower first, then by slug.
    #[serde(default)]
    pub position: i32,
}

/// Where the categories of a path are now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The former path.
    pub from: String,
    /// The present one.
    pub to: String,
    /// When it was moved.
    pub at: Timestamp,
}

/// A move whose products do not all follow yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenMove {
    /// Its id.
    pub id: ObjectId,
    /// The former path.
    pub from: String,
    /// The new one.
    pub to: String,
}

/// The tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Categories {
    /// Counts its changes.
    pub version: u64,
    /// What is declared.
    pub nodes: Vec<CategoryNode>,
    /// What was moved.
    pub aliases: Vec<Alias>,
    /// What is being moved.
    pub open: Vec<OpenMove>,
}

/// Why the tree cannot be changed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeFault {
    /// There is such a category.
    #[error("there is a category at that path")]
    Taken,
    /// There is none.
    #[error("there is no category at that path")]
    Unknown,
    /// Into itself, or onto one that it is in.
    #[error("a category cannot be moved into itself, or onto one that it is in")]
    Circle,
    /// Too many levels.
    #[error("a path has {MAX_CATEGORY_DEPTH} levels at most")]
    TooDeep,
    /// No more room.
    #[error("the tree declares {MAX_NODES} categories at most")]
    Full,
}

/// Whether `path` is that of a category.
#[must_use]
pub fn is_category_path(path: &str) -> bool {
    path.len() <= MAX_CATEGORY_PATH
        && path.split('/').all(is_slug)
        && path.split('/').count() <= MAX_CATEGORY_DEPTH
}

/// What follows `root` in `path`, where `path` is `root` or lies below it.
fn below<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(root)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

impl Categories {
    /// Where what stands at `path` is now.
    #[must_use]
    pub fn placed<'a>(&self, path: &'a str) -> Cow<'a, str> {
        let mut placed = Cow::Borrowed(path);
        // A part of what was moved may have been moved on. Moves lead in no circle: whatever comes to stand
        // somewhere ends those that lead away from there.
        for _ in 0..self.aliases.len() {
            let fits = self.aliases.iter().filter_map(|alias| {
                let rest = below(&placed, &alias.from)?;
                Some((alias, rest))
            });
            let Some((alias, rest)) = fits.max_by_key(|(alias, _)| alias.from.len()) else {
                break;
            };
            placed = Cow::Owned(format!("{}{rest}", alias.to));
        }
        placed
    }

    /// Where all of `paths` are now, each once; `None` where nothing was moved.
    #[must_use]
    pub fn placed_all(&self, paths: &[String]) -> Option<Vec<String>> {
        let mut placed: Vec<String> = Vec::with_capacity(paths.len());
        for path in paths {
            let path = self.placed(path).into_owned();
            if !placed.contains(&path) {
                placed.push(path);
            }
        }
        (placed != paths).then_some(placed)
    }

    /// The moves, from and to, that lead away from any of `paths`.
    #[must_use]
    pub fn leads_away(&self, paths: &[String]) -> Vec<(String, String)> {
        let concerned = self.aliases.iter().filter(|alias| {
            let mut paths = paths.iter();
            paths.any(|path| below(path, &alias.from).is_some())
        });
        concerned
            .map(|alias| (alias.from.clone(), alias.to.clone()))
            .collect()
    }

    /// The declared category of a path.
    #[must_use]
    pub fn node(&self, path: &str) -> Option<&CategoryNode> {
        self.nodes.iter().find(|node| node.path == path)
    }

    /// Declares a category.
    ///
    /// # Errors
    /// `Taken`, `Full`.
    pub fn declare(&mut self, node: CategoryNode) -> Result<(), TreeFault> {
        if self.node(&node.path).is_some() {
            return Err(TreeFault::Taken);
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(TreeFault::Full);
        }
        self.stands_again(&node.path);
        self.nodes.push(node);
        Ok(())
    }

    /// Changes the declaration of a category, which is made where there was none.
    ///
    /// # Errors
    /// `Full`.
    pub fn describe(&mut self, node: CategoryNode) -> Result<(), TreeFault> {
        self.nodes.retain(|known| known.path != node.path);
        self.declare(node)
    }

    /// Forgets the declarations of a path and those below it.
    pub fn forget(&mut self, path: &str) {
        self.nodes.retain(|node| below(&node.path, path).is_none());
    }

    /// Moves a subtree: its declarations at once, its products once the open move is finished.
    ///
    /// # Errors
    /// `Circle`, `TooDeep`.
    pub fn relocate(
        &mut self,
        from: &str,
        to: &str,
        now: Timestamp,
    ) -> Result<OpenMove, TreeFault> {
        // Onto one that it is in: what lies below could come to stand where it was, and be taken for it.
        if below(to, from).is_some() || below(from, to).is_some() {
            return Err(TreeFault::Circle);
        }
        let moved = |path: &str| below(path, from).map(|rest| format!("{to}{rest}"));
        let mut nodes: Vec<CategoryNode> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let path = moved(&node.path).unwrap_or_else(|| node.path.clone());
            if !is_category_path(&path) {
                return Err(TreeFault::TooDeep);
            }
            // Where both were declared, the one that stands there already keeps its name.
            let stands = |other: &CategoryNode| other.path == path;
            if !nodes.iter().any(stands) && (path == node.path || self.node(&path).is_none()) {
                nodes.push(CategoryNode {
                    path,
                    ..node.clone()
                });
            }
        }
        self.nodes = nodes;
        self.stands_again(to);
        // What comes along may stand anywhere below.
        self.aliases
            .retain(|alias| below(&alias.from, to).is_none());
        for alias in &mut self.aliases {
            if let Some(path) = moved(&alias.to) {
                alias.to = path;
            }
        }
        self.aliases
            .retain(|alias| below(&alias.from, from).is_none() && alias.from != alias.to);
        self.aliases.push(Alias {
            from: from.to_owned(),
            to: to.to_owned(),
            at: now,
        });
        let surplus = self.aliases.len().saturating_sub(MAX_ALIASES);
        self.aliases.drain(..surplus);
        let open = OpenMove {
            id: ObjectId::new(),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        self.open.push(open.clone());
        Ok(open)
    }

    /// A category stands at `path` again: what was moved away from there leads elsewhere no more.
    fn stands_again(&mut self, path: &str) {
        self.aliases
            .retain(|alias| below(path, &alias.from).is_none());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(path: &str) -> CategoryNode {
        CategoryNode {
            path: path.into(),
            name: Some(path.to_uppercase()),
            position: 0,
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(1)
    }

    #[test]
    fn a_subtree_moves_with_what_lies_below() {
        let mut tree = Categories::default();
        for path in ["a", "a/b", "a/b/c", "ab", "z"] {
            tree.declare(node(path)).unwrap();
        }
        tree.relocate("a/b", "z/b", now()).unwrap();
        let paths: Vec<_> = tree.nodes.iter().map(|node| node.path.as_str()).collect();
        assert_eq!(paths, ["a", "z/b", "z/b/c", "ab", "z"]);
        assert_eq!(tree.node("z/b/c").unwrap().name.as_deref(), Some("A/B/C"));
        assert_eq!(tree.placed("a/b/c/d"), "z/b/c/d");
        assert_eq!(tree.placed("a/bc"), "a/bc");
        assert_eq!(tree.relocate("z", "z/b/q", now()), Err(TreeFault::Circle));
        let deep = "z/1/2/3/4/5/6/7";
        assert_eq!(tree.relocate("z/b", deep, now()), Err(TreeFault::TooDeep));
    }

    #[test]
    fn moves_of_moves_lead_to_where_things_are() {
        let mut tree = Categories::default();
        tree.relocate("a", "b", now()).unwrap();
        tree.relocate("b", "c", now()).unwrap();
        assert_eq!(
            (tree.placed("a/x"), tree.placed("b/x")),
            ("c/x".into(), "c/x".into())
        );
        // Back again: nothing leads away from where it stands.
        tree.relocate("c", "a", now()).unwrap();
        assert_eq!(
            (tree.placed("a/x"), tree.placed("b")),
            ("a/x".into(), "a".into())
        );
        tree.declare(node("c")).unwrap();
        assert_eq!(tree.placed("c"), "c");
        let paths = ["b/x".to_owned(), "a/x".to_owned()];
        assert_eq!(tree.placed_all(&paths), Some(vec!["a/x".to_owned()]));
        assert_eq!(tree.placed_all(&paths[1..]), None);
    }

    proptest! {
        /// Whatever is moved where: a place that was found does not lead on.
        #[test]
        fn where_things_are_is_where_they_stay(
            moves in prop::collection::vec(("[ab](/[ab]){0,2}", "[abc](/[abc]){0,2}"), 0..12),
            path in "[abc](/[abc]){0,3}",
        ) {
            let mut tree = Categories::default();
            for (from, to) in moves {
                let _refused = tree.relocate(&from, &to, now());
            }
            let placed = tree.placed(&path).into_owned();
            prop_assert_eq!(tree.placed(&placed).into_owned(), placed);
        }
    }
}
