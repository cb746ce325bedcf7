//! What others would pick. To add one, add a recipe.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use super::{Directory, PATIENCE_NS, Programs, Running, TICK_NS, free_port, spawn};
use crate::host::{now_ns, sleep_until};

/// How a peer is started. In all texts `{port}` and `{feed_port}` stand for free ports of 127.0.0.1, `{dir}` for an empty
/// directory, `{peers}` for the directory `peers`, `{built}` for that of the programs built here.
#[derive(Debug)]
pub struct Recipe {
    /// What it is called.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// How it gets onto a machine.
    pub install: &'static str,
    /// Files without which there is no point in starting it.
    needs: &'static [&'static str],
    /// Files that it reads, by name in `{dir}`.
    files: &'static [(&'static str, &'static str)],
    command: &'static [&'static str],
    /// Where it is fed.
    feed: &'static str,
    /// Where it serves.
    serves: &'static str,
}

/// All peers.
pub static PEERS: &[Recipe] = &[
    Recipe {
        name: "nchan",
        what: "nginx with the module nchan",
        install: "apt-get install nginx-light libnginx-mod-nchan",
        needs: &["/usr/sbin/nginx", "/usr/lib/nginx/modules/ngx_nchan_module.so"],
        files: &[("nginx.conf", NGINX_CONF)],
        command: &["/usr/sbin/nginx", "-p", "{dir}", "-c", "{dir}/nginx.conf", "-e", "{dir}/error.log"],
        feed: "ws://127.0.0.1:{port}/publish",
        serves: "ws://127.0.0.1:{port}/live",
    },
    Recipe {
        name: "node-ws",
        what: "a relay on node's ws, in the manner of jsmpeg's websocket-relay",
        install: "apt-get install nodejs npm, then npm install in tools/load/peers/node-ws",
        needs: &["{peers}/node-ws/node_modules/ws/package.json"],
        files: &[],
        command: &["node", "{peers}/node-ws/relay.js", "{port}"],
        feed: "http://127.0.0.1:{port}/",
        serves: "ws://127.0.0.1:{port}/",
    },
    Recipe {
        name: "tokio-relay",
        what: "a relay as it is usually written in Rust: tokio, tokio-tungstenite, a broadcast channel",
        install: "cargo build --release -p tokio-relay",
        needs: &["{built}/tokio-relay"],
        files: &[],
        command: &["{built}/tokio-relay", "{feed_port}", "{port}"],
        feed: "tcp://127.0.0.1:{feed_port}",
        serves: "ws://127.0.0.1:{port}/",
    },
];

const NGINX_CONF: &str = "\
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
events {
    worker_connections 30000;
    multi_accept on;
}
http {
    access_log off;
    tcp_nodelay on;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    nchan_shared_memory_size 256m;
    server {
        listen 127.0.0.1:{port} backlog=4096;
        location = /publish {
            nchan_publisher websocket;
            nchan_channel_id live;
            nchan_message_buffer_length 50;
            nchan_message_timeout 5s;
        }
        location = /live {
            nchan_subscriber websocket;
            nchan_channel_id live;
            nchan_subscriber_first_message newest;
        }
    }
}
";

impl Recipe {
    pub(super) fn start(&self, core: Option<usize>, programs: &Programs) -> Result<Running, String> {
        let directory = Directory::make()?;
        let (port, feed_port) = (free_port()?, free_port()?);
        let fill = |text: &str| {
            text.replace("{port}", &port.to_string())
                .replace("{feed_port}", &feed_port.to_string())
                .replace("{dir}", &directory.path().to_string_lossy())
                .replace("{peers}", &programs.peers.to_string_lossy())
                .replace("{built}", &programs.built.to_string_lossy())
        };
        for file in self.needs.iter().map(|file| fill(file)) {
            if !std::path::Path::new(&file).exists() {
                return Err(format!("{file} is missing: {}", self.install));
            }
        }
        for (name, text) in self.files {
            directory.write(name, &fill(text))?;
        }
        let command: Vec<String> = self.command.iter().map(|word| fill(word)).collect();
        let mut child = spawn(Command::new(&command[0]).args(&command[1..]), &directory, core)
            .map_err(|why| format!("{why}: {}", self.install))?;
        let at: SocketAddr = ([127, 0, 0, 1], port).into();
        let deadline_ns = now_ns() + PATIENCE_NS;
        while TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_err() {
            if now_ns() > deadline_ns || !matches!(child.try_wait(), Ok(None)) {
                let _ = child.kill();
                let said = std::fs::read_to_string(directory.log()).unwrap_or_default();
                return Err(format!("does not start; it said:\n{}", said.trim_end()));
            }
            sleep_until(now_ns() + TICK_NS);
        }
        let (feeds, targets) = (vec![fill(self.feed).parse()?], vec![fill(self.serves).parse()?]);
        Ok(Running { child, directory, feeds, targets })
    }
}
