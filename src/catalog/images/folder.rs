//! Pictures in a folder of the machine, or of a file system that all nodes see.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use actix_web::web::Bytes;
use bson::oid::ObjectId;
use futures_util::future::BoxFuture;

use super::{ImageName, ImageStore, ImagesError};

/// The folder; made with the first picture.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }
}

impl ImageStore for Folder {
    fn put<'a>(
        &'a self,
        name: &'a ImageName,
        bytes: Bytes,
    ) -> BoxFuture<'a, Result<(), ImagesError>> {
        let (folder, name) = (self.0.clone(), name.to_string());
        Box::pin(aside(move || write(&folder, &name, &bytes)))
    }

    fn get<'a>(&'a self, name: &'a ImageName) -> BoxFuture<'a, Result<Option<Bytes>, ImagesError>> {
        let path = self.0.join(name.to_string());
        Box::pin(aside(move || match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }))
    }

    fn remove<'a>(&'a self, name: &'a ImageName) -> BoxFuture<'a, Result<(), ImagesError>> {
        let path = self.0.join(name.to_string());
        Box::pin(aside(move || match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }))
    }
}

/// Files are read and written on threads that answer nobody.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ImagesError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.map_err(io::Error::other)??)
}

/// Writes a picture beside its place, then moves it there: whoever finds the name finds the whole picture,
/// also after the power failed.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let place = folder.join(name);
    fs::create_dir_all(folder)?;
    let aside = folder.join(format!(".{name}.{}", ObjectId::new()));
    let written = File::create_new(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, &place)
    });
    if let Err(error) = written {
        // Nothing else is left to be done where this fails too.
        let _left = fs::remove_file(&aside);
        return Err(error);
    }
    File::open(folder)?.sync_all()
}
