//! [`Place`]: where the primary is.

use crate::error::Error;
use redis::io::tcp::TcpSettings;
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;

/// Scheme of a URL that names sentinels.
const SENTINELS: &str = "redis+sentinel://";

/// Where the primary is: at an address, or where sentinels say.
pub(crate) enum Place {
    Server(Client),
    Sentinels(Sentinels),
}

pub(crate) struct Sentinels {
    clients: Vec<Client>,
    /// Name of the primary among the sentinels.
    name: String,
    /// The database, and the credentials for the server.
    server: ConnectionInfo,
    /// Number of times that a sentinel was asked first. One that is wrong is not asked first again
    /// and again.
    asked: AtomicUsize,
}

impl Place {
    /// Parses the URL of a server, or one of sentinels:
    /// `redis+sentinel://[user:password@]host:port,host:port/name[/database]`. The credentials are
    /// those of the server.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let Some(rest) = url.strip_prefix(SENTINELS) else {
            return Ok(Self::Server(client(info(url)?)?));
        };
        let form = || unusable("the URL is not redis+sentinel://HOST:PORT,HOST:PORT/NAME");
        let (authority, path) = rest.split_once('/').ok_or_else(form)?;
        let (name, database) = path.split_once('/').unwrap_or((path, ""));
        let at = authority.rfind('@').map_or(0, |at| at + 1);
        let (credentials, hosts) = authority.split_at(at);
        if name.is_empty() || hosts.is_empty() {
            return Err(form());
        }
        let mut clients = Vec::new();
        for host in hosts.split(',') {
            // Without a port, it would be that of servers.
            let has_port = host
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            if !has_port {
                return Err(form());
            }
            clients.push(client(info(&format!("redis://{host}/"))?)?);
        }
        Ok(Self::Sentinels(Sentinels {
            clients,
            name: name.to_owned(),
            server: info(&format!("redis://{credentials}server/{database}"))?,
            asked: AtomicUsize::new(0),
        }))
    }

    /// Returns a client for the primary. Waits for each sentinel no longer than `within`.
    pub(crate) async fn primary(&self, within: Duration) -> Result<Client, String> {
        match self {
            Self::Server(client) => Ok(client.clone()),
            Self::Sentinels(sentinels) => sentinels.primary(within).await,
        }
    }
}

impl Sentinels {
    async fn primary(&self, within: Duration) -> Result<Client, String> {
        // ORDERING: Relaxed. Only the number counts.
        let first = self.asked.fetch_add(1, Ordering::Relaxed);
        let number = self.clients.len();
        for at in 0..number {
            let sentinel = &self.clients[(first % number + at) % number];
            let answer = timeout(within, self.ask(sentinel)).await;
            if let Ok(Some((host, port))) = answer {
                let server = self
                    .server
                    .clone()
                    .set_addr(ConnectionAddr::Tcp(host, port));
                return client(server).map_err(|error| error.to_string());
            }
        }
        Err(format!("no sentinel names a primary of {:?}", self.name))
    }

    /// Returns the address that a sentinel names.
    async fn ask(&self, sentinel: &Client) -> Option<(String, u16)> {
        let mut connection = sentinel.get_multiplexed_async_connection().await.ok()?;
        let mut ask = redis::cmd("SENTINEL");
        ask.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        let answer: Option<(String, u16)> = ask.query_async(&mut connection).await.ok()?;
        answer
    }
}

fn unusable(message: &str) -> Error {
    Error::Unusable(message.to_owned())
}

/// Parses the URL of a server.
fn info(url: &str) -> Result<ConnectionInfo, Error> {
    match url.split_once("://") {
        None => return Err(unusable("the URL has no scheme, such as redis://")),
        Some(("rediss" | "valkeys", _)) => {
            return Err(unusable("the URL is one for TLS, which is not built in"));
        }
        Some(_) => {}
    }
    let info = url.into_connection_info().map_err(no_server)?;
    // The replies are read in the older form, which every server has.
    let settings = info.redis_settings().clone();
    let settings = settings.set_protocol(ProtocolVersion::RESP2);
    // Small calls are not held back until the answers of earlier ones have come.
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(info.set_redis_settings(settings).set_tcp_settings(tcp))
}

fn client(info: ConnectionInfo) -> Result<Client, Error> {
    Client::open(info).map_err(no_server)
}

/// The URL may have a password, so that the error does not repeat it.
#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn no_server(error: redis::RedisError) -> Error {
    unusable(&format!(
        "the URL is not one of a server: {}",
        error.category()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_sentinels_names_hosts_a_primary_and_a_database() {
        let url = "redis+sentinel://ann:p%40ss@one:26379,[::1]:26380/jobs/3";
        let Ok(Place::Sentinels(place)) = Place::parse(url) else {
            panic!("{url} is one of sentinels");
        };
        let addresses: Vec<_> = place
            .clients
            .iter()
            .map(|sentinel| sentinel.get_connection_info().addr().to_string())
            .collect();
        assert_eq!(addresses, ["one:26379", "::1:26380"]);
        assert_eq!(place.name, "jobs");
        let settings = place.server.redis_settings();
        assert_eq!(settings.db(), 3);
        assert_eq!(
            (settings.username(), settings.password()),
            (Some("ann"), Some("p@ss"))
        );
        // The sentinels do not get the password of the server.
        let asked = place.clients[0].get_connection_info().redis_settings();
        assert_eq!((asked.username(), asked.password()), (None, None));
    }

    #[test]
    fn a_url_without_sentinels_or_a_name_is_refused() {
        for url in [
            "redis+sentinel://",
            "redis+sentinel://one:26379",
            "redis+sentinel://one:26379/",
            "redis+sentinel:///jobs",
            "redis+sentinel://one/jobs",
            "redis+sentinel://one:26379,,two:26379/jobs",
            "redis+sentinel://one:port/jobs",
            "redis+sentinel://one:26379/jobs/third",
            "redis+sentinel://ann:secret@/jobs",
            "one:26379",
            "rediss://one",
            "http://one",
        ] {
            let Err(refused) = Place::parse(url) else {
                panic!("{url} is accepted");
            };
            assert_eq!(refused.name(), "unusable", "{url}");
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
    }

    #[test]
    fn the_protocol_is_the_one_that_the_client_reads() {
        let Ok(Place::Server(client)) = Place::parse("redis://one/?protocol=resp3") else {
            panic!("it is the URL of a server");
        };
        let settings = client.get_connection_info().redis_settings();
        assert_eq!(settings.protocol(), ProtocolVersion::RESP2);
    }
}
