//! The limit of reads: an actix-web handler that sends the same bytes and does nothing else.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::header::{ETAG, IF_NONE_MATCH},
    web,
};

/// The handler in a process of its own, as the shop is.
pub(crate) struct Bare {
    child: Child,
    pub(crate) address: String,
}

impl Bare {
    pub(crate) fn start(body: &str) -> Self {
        let file = std::env::temp_dir().join(format!("bodega-bare-{}", std::process::id()));
        std::fs::write(&file, body).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("--bare")
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        std::fs::remove_file(file).unwrap();
        Self {
            child,
            address: line.trim().to_owned(),
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Serves the file's bytes until killed.
pub(crate) fn serve(file: &str) {
    let body = web::Bytes::from(std::fs::read(file).unwrap());
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(move || {
            let body = body.clone();
            App::new().default_service(web::to(move |request: HttpRequest| {
                let body = body.clone();
                async move {
                    if let Some(tag) = request.headers().get(IF_NONE_MATCH) {
                        return HttpResponse::NotModified()
                            .insert_header((ETAG, tag.clone()))
                            .finish();
                    }
                    HttpResponse::Ok()
                        .content_type("application/json")
                        .body(body)
                }
            }))
        });
        let server = server.workers(2).bind("127.0.0.1:0").unwrap();
        println!("{}", server.addrs()[0]);
        server.run().await.unwrap();
    });
}
