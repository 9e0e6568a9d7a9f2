//! A server of the S3 protocol over a folder, with one user.

use std::net::SocketAddr;
use std::path::Path;

use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

/// The user's name and key.
pub(crate) const USER: (&str, &str) = ("analyst", "not-a-secret");

/// Serves the folder, a subfolder a bucket, as long as the runtime lives.
pub(crate) async fn serve(folder: &Path) -> SocketAddr {
    let mut service = S3ServiceBuilder::new(FileSystem::new(folder).unwrap());
    service.set_auth(SimpleAuth::from_single(USER.0, USER.1));
    let service = service.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                let connection = TokioIo::new(connection);
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(connection, service)
                    .await
            });
        }
    });
    address
}
