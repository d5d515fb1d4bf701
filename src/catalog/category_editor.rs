//! Changing the tree of categories. The tree is one document, put in the place of the version it was read
//! at; products follow a move in one statement, which may be repeated where it was cut short.

use futures_util::TryStreamExt;
use serde_json::{Value, json};

use super::{
    Catalog, CatalogError,
    model::{Categories, CategoryNode, MAX_CATEGORY_DEPTH, OpenMove, TreeFault, is_category_path},
    turns::Turns,
};
use crate::{
    audit::{Action, Actor, Changes, Entry, Subject, difference},
    clock::Timestamp,
    mongo::StoreError,
    problem::FieldError,
};

/// What is to be moved where.
#[derive(Debug, Clone)]
pub(super) struct Relocation {
    /// The path of the subtree.
    pub(super) from: String,
    /// Its new path.
    pub(super) to: String,
    /// Whether it may join a category that stands there.
    pub(super) merge: bool,
}

fn entry(by: Actor, action: Action, path: &str, changes: Changes) -> Entry {
    let subject = (Subject::Category, path.to_owned(), path.to_owned());
    Entry::new(by, action, subject, changes)
}

fn form(node: Option<&CategoryNode>) -> Value {
    node.map_or(
        Value::Null,
        |node| json!({ "name": node.name, "position": node.position }),
    )
}

fn refused(pointer: &str, fault: TreeFault) -> CatalogError {
    let code = match fault {
        TreeFault::Taken => return CatalogError::CategoryTaken,
        TreeFault::Unknown => return CatalogError::CategoryNotFound,
        TreeFault::Circle => "circle",
        TreeFault::TooDeep => "category",
        TreeFault::Full => "max_items",
    };
    let fault = FieldError::new(pointer, code, fault.to_string());
    CatalogError::Invalid(vec![fault])
}

/// Checks that a text is a category's path.
pub(super) fn checked_path(pointer: &str, path: &str) -> Result<(), CatalogError> {
    if is_category_path(path) {
        return Ok(());
    }
    let message = format!(
        "expected 1 to {MAX_CATEGORY_DEPTH} names of lower-case letters, digits and hyphens with slashes between them"
    );
    let fault = FieldError::new(pointer, "category", message);
    Err(CatalogError::Invalid(vec![fault]))
}

impl Catalog {
    /// Declares a category.
    ///
    /// # Errors
    /// `Invalid`; `CategoryTaken` where it is declared already.
    pub(super) async fn declare_category(
        &self,
        node: CategoryNode,
        by: Actor,
    ) -> Result<(), CatalogError> {
        checked_path("/path", &node.path)?;
        self.change_tree(|tree| {
            let changes = difference(&Value::Null, &form(Some(&node)));
            tree.declare(node.clone())
                .map_err(|fault| refused("/path", fault))?;
            Ok(((), entry(by, Action::Created, &node.path, changes)))
        })
        .await
    }

    /// Changes name and place of a category, declared or only named by products.
    ///
    /// # Errors
    /// `CategoryNotFound`.
    pub(super) async fn describe_category(
        &self,
        path: &str,
        by: Actor,
        change: impl Fn(&mut CategoryNode),
    ) -> Result<CategoryNode, CatalogError> {
        checked_path("/path", path).map_err(|_malformed| CatalogError::CategoryNotFound)?;
        let named = self.stands(path).await?;
        self.change_tree(|tree| {
            let old = tree.node(path).cloned();
            if old.is_none() && !named {
                return Err(CatalogError::CategoryNotFound);
            }
            let mut node = old.clone().unwrap_or_else(|| CategoryNode {
                path: path.to_owned(),
                name: None,
                position: 0,
            });
            change(&mut node);
            let changes = difference(&form(old.as_ref()), &form(Some(&node)));
            tree.describe(node.clone())
                .map_err(|fault| refused("/path", fault))?;
            Ok((node, entry(by, Action::Updated, path, changes)))
        })
        .await
    }

    /// Moves a subtree; returns how many products followed.
    ///
    /// # Errors
    /// `CategoryNotFound`, `Invalid`; `CategoryTaken` where a category stands there and none is to be
    /// joined.
    pub(super) async fn move_category(
        &self,
        wanted: &Relocation,
        by: Actor,
    ) -> Result<u64, CatalogError> {
        checked_path("/from", &wanted.from)?;
        checked_path("/to", &wanted.to)?;
        self.finish_moves().await?;
        let named = self.stands(&wanted.from).await?;
        let taken = self.stands(&wanted.to).await?;
        self.check_depth(wanted).await?;
        let open = self
            .change_tree(|tree| {
                let declared = |path: &str| {
                    let below = format!("{path}/");
                    let mut nodes = tree.nodes.iter();
                    nodes.any(|node| node.path == path || node.path.starts_with(&below))
                };
                if !named && !declared(&wanted.from) {
                    return Err(CatalogError::CategoryNotFound);
                }
                let joins = taken || declared(&wanted.to);
                let open = tree
                    .relocate(&wanted.from, &wanted.to, Timestamp::now())
                    .map_err(|fault| refused("/to", fault))?;
                if joins && !wanted.merge {
                    return Err(CatalogError::CategoryTaken);
                }
                let changes = difference(
                    &json!({ "path": wanted.from }),
                    &json!({ "path": wanted.to }),
                );
                Ok((open, entry(by, Action::Moved, &wanted.from, changes)))
            })
            .await?;
        self.finish_move(&open).await
    }

    /// Removes the declarations of a category and those below it.
    ///
    /// # Errors
    /// `CategoryNotFound`; `CategoryInUse` where products stand there.
    pub(super) async fn remove_category(&self, path: &str, by: Actor) -> Result<(), CatalogError> {
        checked_path("/path", path).map_err(|_malformed| CatalogError::CategoryNotFound)?;
        let products = self.shared.products.count_in_category(path).await?;
        if products > 0 {
            return Err(CatalogError::CategoryInUse { products });
        }
        self.change_tree(|tree| {
            let old = tree.node(path).cloned();
            let known = tree.nodes.len();
            tree.forget(path);
            if tree.nodes.len() == known {
                return Err(CatalogError::CategoryNotFound);
            }
            let changes = difference(&form(old.as_ref()), &Value::Null);
            Ok(((), entry(by, Action::Deleted, path, changes)))
        })
        .await
    }

    /// Lets products follow moves that were cut short.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub(super) async fn finish_moves(&self) -> Result<(), CatalogError> {
        for open in self.shared.categories.load().await?.open {
            self.finish_move(&open).await?;
        }
        Ok(())
    }

    /// Whether a move was cut short.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub(super) async fn has_open_move(&self) -> Result<bool, CatalogError> {
        Ok(!self.shared.categories.load().await?.open.is_empty())
    }

    async fn finish_move(&self, open: &OpenMove) -> Result<u64, CatalogError> {
        let stores = &self.shared;
        let moved = stores.products.move_category(&open.from, &open.to).await?;
        if moved > 0 {
            // Whoever moved them finds them there at once; other nodes follow the feed.
            let mut products = stores.products.of_category(&open.to).await?;
            while let Some(product) = products.try_next().await? {
                stores.live.product_changed(&product, None);
            }
        }
        let mut turns = Turns::begin();
        while turns.next().await {
            let mut tree = stores.categories.load().await?;
            tree.open.retain(|other| other.id != open.id);
            tree.version = tree.version.saturating_add(1);
            if stores.categories.replace(&tree, None).await? {
                return Ok(moved);
            }
        }
        // It stays open, and the next who looks finishes it again.
        Ok(moved)
    }

    /// Whether products stand at a path or below it.
    async fn stands(&self, path: &str) -> Result<bool, StoreError> {
        Ok(self.shared.products.count_in_category(path).await? > 0)
    }

    async fn check_depth(&self, wanted: &Relocation) -> Result<(), CatalogError> {
        for path in self.shared.products.category_paths(&wanted.from).await? {
            let rest = path.strip_prefix(&wanted.from).unwrap_or_default();
            if !is_category_path(&format!("{}{rest}", wanted.to)) {
                return Err(refused("/to", TreeFault::TooDeep));
            }
        }
        Ok(())
    }

    /// Changes the tree as it stands, again where another writer was faster.
    async fn change_tree<T>(
        &self,
        change: impl Fn(&mut Categories) -> Result<(T, Entry), CatalogError>,
    ) -> Result<T, CatalogError> {
        let mut turns = Turns::begin();
        while turns.next().await {
            let mut tree = self.shared.categories.load().await?;
            let (made, entry) = change(&mut tree)?;
            tree.version = tree.version.saturating_add(1);
            if self.shared.categories.replace(&tree, Some(entry)).await? {
                self.shared.live.categories_changed(tree);
                return Ok(made);
            }
        }
        Err(CatalogError::Contended)
    }
}
