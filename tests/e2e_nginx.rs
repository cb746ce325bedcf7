//! nginx in front of a node, over HTTP and as a proxy of bare TCP: the node knows the clients behind it.

mod util;

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use util::node::Node;
use util::raw::upgrade;
use util::receive::{Protocol, Receiver, connect_from, read_head};
use util::show::Show;
use util::{Directory, SOON, free_port, wait_until};

const NODE: &str = "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
    [custom.live]\nProtocol = TCP\nPort = 0\n[custom]\nProtocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0\n\
    TrustedProxies = 127.0.0.1\nMaxClientsPerIp = 1\n";

/// A running nginx, ended with the value.
struct Nginx {
    process: Child,
    /// Over HTTP to the port for receivers.
    http: SocketAddr,
    /// By the PROXY protocol to the same.
    stream: SocketAddr,
    /// By the PROXY protocol to the port of bare TCP.
    tcp: SocketAddr,
    _directory: Directory,
}

impl Nginx {
    fn start(node: &Node) -> Nginx {
        let directory = Directory::new("nginx");
        let [http, stream, tcp] = [(); 3].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        let (receivers, raw) = (node.address("custom"), node.address("custom.live"));
        let here = directory.file("");
        let here = here.display();
        let is_root = fs::metadata(directory.file("")).unwrap().uid() == 0;
        let user = if is_root { "user root;" } else { "" };
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|name| format!("{name}_temp_path {here}/{name};")).join(" ");
        let conf = format!(
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
            daemon off; {user} worker_processes 1; pid {here}/pid; error_log stderr warn; events {{}}
            http {{
                access_log off; {temporary}
                map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
                server {{
                    listen {http};
                    location /tv/ {{
                        proxy_pass http://{receivers}/;
                        proxy_http_version 1.1;
                        proxy_set_header Upgrade $http_upgrade;
                        proxy_set_header Connection $connection_upgrade;
                        proxy_set_header Host $host;
                        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                        proxy_buffering off;
                    }}
                }}
            }}
            stream {{
                proxy_protocol on;
                server {{ listen {stream}; proxy_pass {receivers}; }}
                server {{ listen {tcp}; proxy_pass {raw}; }}
            }}"
        );
        let file = directory.file("nginx.conf");
        fs::write(&file, conf).unwrap();
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(directory.file("")).arg("-c").arg(file);
        let mut process = command.stdin(Stdio::null()).spawn().expect("nginx is installed by tools/test");
        wait_until("nginx to listen", || {
            assert_eq!(process.try_wait().unwrap(), None, "nginx goes on");
            TcpStream::connect(http).is_ok()
        });
        Nginx { process, http, stream, tcp, _directory: directory }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends with it.
        let id = nix::unistd::Pid::from_raw(self.process.id() as i32);
        let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

fn client(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number).into()
}

#[test]
fn who_is_behind_nginx_counts() {
    let node = Node::start(NODE);
    let nginx = Nginx::start(&node);
    let mut show = Show::start(node.address("backstream"));
    let mut receivers = Vec::new();
    for (number, address, protocol, over) in [
        (11, nginx.http, Protocol::WebSocket("/tv/live".into()), "WebSocket"),
        (12, nginx.http, Protocol::Http("/tv/live.ts".into()), "HTTP-TS"),
        (13, nginx.stream, Protocol::WebSocket("/live".into()), "WebSocket"),
        (14, nginx.tcp, Protocol::Tcp, "TCP"),
    ] {
        let socket = connect_from(client(number), address);
        receivers.push(Receiver::of(socket, &protocol));
        let line = node.wait_for(&format!("receiver of live connected: 127.0.0.{number} through 127.0.0.1:"));
        assert!(line.ends_with(&format!("({over})")), "{line}");
    }
    // Another one of the same client is one too many, whatever it says itself, and by whatever way it comes.
    for (number, address, path) in [(11, nginx.http, "/tv/live"), (12, nginx.stream, "/live")] {
        let mut socket = connect_from(client(number), address);
        socket.set_read_timeout(Some(SOON)).unwrap();
        write!(socket, "{}X-Forwarded-For: 192.0.2.1\r\n\r\n", upgrade(path)).unwrap();
        let head = read_head(&mut socket).unwrap();
        assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    }
    show.go_on(25);
    // Over HTTP, nginx cuts the stream into chunks of its own.
    let in_chunks = receivers.remove(1);
    receivers.iter().for_each(|receiver| show.check(receiver));
    in_chunks.wait_for_bytes(receivers.last().unwrap().length());
}
