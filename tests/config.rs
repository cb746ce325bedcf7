//! A file says what the program runs on, or everything that is wrong with it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use tsstream::config::{
    self, Authority, Config, Datagrams, Directory, Format, Framing, HopProtocol, InputProtocol, Loaded,
    NextHop, ReceiverProtocol, RunMode, Start,
};
use tsstream::mailbox::StreamId;

const SHIPPED: &str = include_str!("../conf/app.conf");

/// UDP as it is by default.
const UDP: HopProtocol =
    HopProtocol::Udp(Datagrams { framing: Framing::Ts, multicast_ttl: 1, interface: None });

fn parse(text: &str) -> Loaded {
    config::parse("f", text).expect("a file in order")
}

fn problems(text: &str) -> Vec<String> {
    config::parse("f", text).expect_err(text).iter().map(ToString::to_string).collect()
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/conf").join(name)
}

fn original(name: &str) -> Loaded {
    config::load(&data(name)).expect("a file in order")
}

#[test]
fn an_empty_file_says_the_same_as_the_shipped_one() {
    assert_eq!(parse(""), config::defaults());
    assert_eq!(parse(SHIPPED), config::defaults());
    assert_eq!(config::defaults().warnings, [""; 0]);
}

#[test]
fn in_every_mode_an_empty_file_says_the_same_as_the_shipped_one() {
    for mode in ["extra", "monitor"] {
        let shipped = SHIPPED.replace("RunMode = normal", &format!("RunMode = {mode}"));
        assert_eq!(parse(&format!("[app]\nRunMode = {mode}")), parse(&shipped));
    }
}

#[test]
fn the_examples_in_the_shipped_file_are_in_order() {
    let keys = ["Protocol", "Bind", "Port", "Source", "Hosts", "Ports"];
    let is_example = |line: &str| {
        (line.starts_with('[') && line.ends_with(']'))
            || line.split_once(" = ").is_some_and(|(key, _)| keys.contains(&key))
    };
    let lines =
        SHIPPED.lines().map(|line| line.strip_prefix("; ").filter(|it| is_example(it)).unwrap_or(line));
    let text = lines.collect::<Vec<_>>().join("\n").replacen("Protocol = TCP", "Protocol = HTTP", 1);
    let config = parse(&text).config;
    assert_eq!(config.streams.iter().map(|it| &it.name[..]).collect::<Vec<_>>(), ["live", "cam2", "cam3"]);
    assert_eq!(config.ports.iter().map(|it| &it.section[..]).collect::<Vec<_>>(), ["custom", "custom.live"]);
    assert_eq!((config.next_hops.len(), config.next_hops[0].stream), (1, StreamId(1)));
}

#[test]
fn the_shipped_values_are_the_documented_ones() {
    let Config { streams, ports, workers, drain, authority, admin, next_hops, node, .. } =
        config::defaults().config;
    let [live] = &streams[..] else { panic!("one stream") };
    assert_eq!((live.name.as_str(), live.section.as_str()), ("live", "backstream"));
    assert_eq!((live.protocol, live.bind), (InputProtocol::Tcp, "127.0.0.1:50001".parse().unwrap()));
    assert_eq!((live.coalesce, live.quiet), (Duration::from_millis(2), Some(Duration::from_micros(500))));
    assert_eq!((live.timeout, live.buffer.bytes), (Duration::from_secs(10), 32 << 20));
    let [port] = &ports[..] else { panic!("one port") };
    assert_eq!((port.protocol, port.start), (ReceiverProtocol::WebSocket, Start::Keyframe));
    assert_eq!((port.bind, port.stream), ("0.0.0.0:8088".parse().unwrap(), StreamId(0)));
    assert_eq!((port.lag_max, port.stall_max), (Duration::from_secs(2), Duration::from_secs(10)));
    assert_eq!((workers, drain, authority, node), (0, Duration::from_secs(5), Authority::Anyone, None));
    assert!(admin.is_none() && next_hops.is_empty());
}

#[test]
fn original_files_are_understood_as_they_are() {
    let Loaded { config, warnings } = original("original-extra1.conf");
    assert_eq!(config.run_mode, RunMode::Extra);
    assert_eq!(config.monitor.as_deref(), Some("http://localhost:50000/monitor"));
    assert_eq!(
        (config.streams[0].protocol, config.streams[0].bind.to_string()),
        (InputProtocol::Udp, "0.0.0.0:55001".into())
    );
    assert_eq!(config.ports[0].bind.to_string(), "0.0.0.0:56001");
    assert_eq!((config.next_hops.len(), warnings.len()), (0, 1), "{warnings:?}");

    assert_eq!(original("original-extra2.conf").config.ports[0].bind.to_string(), "0.0.0.0:56002");

    let Loaded { config, warnings } = original("original-monitor.conf");
    assert_eq!(config.run_mode, RunMode::Monitor);
    assert_eq!(config.monitor_bind.map(|bind| bind.to_string()).as_deref(), Some("0.0.0.0:50000"));
    assert!(config.streams.is_empty() && config.ports.is_empty() && config.next_hops.is_empty());
    assert_eq!(
        warnings,
        [
            "Anyone who reaches [monitor] (0.0.0.0:50000) may send reports: set a Secret, or name the nodes in [authority]."
        ]
    );

    let Loaded { config, warnings } = original("original-normal-udp.conf");
    assert_eq!((config.streams[0].protocol, config.streams[0].bind.port()), (InputProtocol::Tcp, 50001));
    assert!(config.streams[0].secret.is_empty() && config.ports.is_empty());
    let hop = |port| NextHop { stream: StreamId(0), protocol: UDP, host: "127.0.0.1".into(), port };
    assert_eq!(config.next_hops, [hop(55001), hop(55002)]);
    assert_eq!(
        warnings,
        [
            "Anyone who reaches [backstream] (0.0.0.0:50001) may publish: name the publishers in [authority], or set \
          Bind = 127.0.0.1, or set Protocol = HTTP and a Secret (which TCP and UDP don't ask for)."
        ]
    );
}

#[test]
fn a_node_with_receivers_runs_on_an_original_file() {
    let text = std::fs::read_to_string(data("original-normal-udp.conf")).unwrap();
    let config = parse(&text.replace("[dispatch]\nProtocol = UDP", "[dispatch]\nProtocol = CUSTOM")).config;
    assert_eq!((config.ports.len(), config.next_hops.len()), (1, 0));
}

#[test]
fn case_quotes_and_line_ends_do_not_matter() {
    let plain =
        parse("[app]\nRunMode = normal\n[custom]\nProtocol = TCP\n[authority]\nUse = True\nIps = ::1\n");
    let loud = parse(
        "[APP]\r\nrunmode = \"NORMAL\"\r\n[Custom]\r\nPROTOCOL=tcp\r\n[authority]\r\nuse=true\r\nips=::1\r\n",
    );
    assert_eq!(plain, loud);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let text = "\
[app]
RunMod = normal
Coalesce = 5000
Workers = many
[backstream]
Protocol = TCPP
Port = 70000
Port = 5
[custom]
Port = 8088 ; for viewers
LagLimit
[dispatch]
Protocol = CUSTOM,TCP
Hosts = a,b
Ports = 1,abc
[custm]
";
    assert_eq!(
        problems(text),
        [
            "f:2: [app] RunMod: there is no such key (did you mean `RunMode`?)",
            "f:3: [app] Coalesce: \"5000\" is not a time from 0 to 1000 ms",
            "f:4: [app] Workers: \"many\" is not a number from 0 to 256",
            "f:6: [backstream] Protocol: \"TCPP\" is not one of HTTP, TCP, UDP (did you mean `TCP`?)",
            "f:7: [backstream] Port: \"70000\" is not a port (0 to 65535)",
            "f:8: [backstream] Port: the key stands in line 7 already",
            "f:10: a comment needs a line of its own; a value with ` ;` or ` #` in it needs \"quotes\"",
            "f:11: expected `Key = value`, `[section]`, or a comment that starts with `;`",
            "f:15: [dispatch] Ports: \"abc\" is not a port (1 to 65535)",
            "f:16: [custm]: there is no such section (did you mean `custom`?)",
        ]
    );
}

#[test]
fn a_file_full_of_problems_has_a_bounded_report() {
    let told = problems(&"nonsense\n".repeat(5_000));
    assert_eq!((told.len(), told[100].as_str()), (101, "f: and 4900 problems more"));
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_name() {
    let told = config::load(Path::new("no/such.conf")).unwrap_err();
    assert_eq!(told[0].to_string(), "no/such.conf: cannot be read: No such file or directory");
    let told = config::load(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(told[0].to_string(), "/dev/zero: cannot be read: larger than 1 MiB");
    let told = config::parse("f", "[\0a\0p\0p\0]").unwrap_err();
    assert_eq!((told[0].to_string().as_str(), told[0].line()), ("f: is not a text file in UTF-8", None));
}

#[test]
fn suffixed_streams_inherit() {
    let streams = parse(
        "[backstream]\nBind=0.0.0.0\nPort=80\nSecret=s\nTimeout=3\nTakeover=never\nFormat=bytes\n\
         [backstream.cam2]\n\
         [backstream.cam3]\nPort=81\nSecret=\nTimeout=4\n\
         [backstream.cam4]\nProtocol=UDP\nBind=239.1.2.3\nPort=81\nSource=10.0.0.1\nInterface=10.0.0.2\n",
    )
    .config
    .streams;
    let [live, cam2, cam3, cam4] = &streams[..] else { panic!("four streams") };
    assert_eq!(live.protocol, InputProtocol::Http);
    assert_eq!(
        cam2,
        &config::Stream { name: "cam2".into(), section: "backstream.cam2".into(), ..live.clone() }
    );
    assert_eq!(
        (cam3.bind.to_string(), cam3.secret.is_empty(), cam3.timeout.as_secs()),
        ("0.0.0.0:81".into(), true, 4)
    );
    assert_eq!((cam4.bind.to_string(), cam4.timeout.as_secs()), ("239.1.2.3:81".into(), 3));
    assert_eq!(
        cam4.source.zip(cam4.interface),
        Some(("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()))
    );
}

#[test]
fn a_given_section_without_protocol_is_http_and_an_absent_one_tcp() {
    let protocols =
        |text| parse(text).config.streams.iter().map(|stream| stream.protocol).collect::<Vec<_>>();
    assert_eq!(protocols("[backstream]"), [InputProtocol::Http]);
    assert_eq!(protocols("[backstream]\nProtocol=\n[backstream.a]"), [InputProtocol::Http; 2]);
    assert_eq!(protocols("[backstream.a]\nPort=1"), [InputProtocol::Tcp; 2]);
    assert_eq!(protocols("[backstream.a]\nPort=1\nProtocol="), [InputProtocol::Tcp, InputProtocol::Http]);
    assert_eq!(protocols("[app]\nRunMode=extra\n[pushstream]\n[backstream]"), [InputProtocol::Tcp]);
}

#[test]
fn streams_that_cannot_be() {
    assert_eq!(
        problems(
            "[backstream]\nProtocol=UDP\nPort=1\nTimeout=0\n[backstream.a]\n[backstream.b]\nPort=1\n[backstream.live]\n\
             [backstream.c]\nPort=2\nSource=10.0.0.1\n[backstream.d]\nPort=3\nBind=ff02::1\nSource=10.0.0.1\n\
             [backstream.e]\nProtocol=TCP\nBind=239.0.0.1\nPort=\n"
        ),
        [
            "f:4: [backstream] Timeout: \"0\" is not a time from 0.1 to 3600 s",
            "f:5: [backstream.a] Port: a stream over TCP or UDP needs a port of its own",
            "f:7: [backstream.b] Port: 127.0.0.1:1 is taken by [backstream] in line 3",
            "f:8: [backstream.live]: the stream `live` is [backstream] itself",
            "f:11: [backstream.c] Source: goes with a multicast group in Bind, and 127.0.0.1 is none",
            "f:15: [backstream.d] Source: 10.0.0.1 is not of the same IP version as the group ff02::1",
            "f:18: [backstream.e] Bind: 239.0.0.1 is a multicast group, which goes with Protocol = UDP only",
            "f:19: [backstream.e] Port: a stream over TCP or UDP needs a port of its own",
        ]
    );
    let many: String = (0..1_000).map(|n| format!("[backstream.n{n}]\nPort=0\n")).collect();
    assert_eq!(problems(&many), ["f:1999: [backstream.n999]: there are more than 1000 streams"]);
}

#[test]
fn listeners_that_exclude_each_other() {
    assert_eq!(
        problems("[backstream]\nProtocol=TCP\nPort=8088\n[custom.live]\nPort=7000\n[admin]\nPort=7000\n"),
        [
            "f:3: [backstream] Port: 127.0.0.1:8088 is taken by [custom] by default",
            "f:7: [admin] Port: 127.0.0.1:7000 is taken by [custom.live] in line 5",
        ]
    );
    parse("[backstream]\nProtocol=UDP\nPort=8088\n");
    parse("[custom]\nPort=0\n[custom.live]\nPort=0\n[backstream]\n[backstream.a]\n");
}

#[test]
fn ports_for_one_stream() {
    let text = "[backstream]\n[backstream.cam2]\n[custom]\nStart=live\nLagLimit=1\nOrigins=https://a.org\nDirectory=off\nPort=1\n\
                [custom.cam2]\nPort=2\nProtocol=TCP\nFilterIps=10.0.0.0/8\n[custom.live]\nPort=3\n";
    let ports = parse(text).config.ports;
    assert_eq!(ports.iter().map(|port| port.stream.0).collect::<Vec<_>>(), [0, 1, 0]);
    assert_eq!(ports.iter().map(|port| port.bind.port()).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(ports.iter().all(|port| port.start == Start::Live && port.lag_max.as_secs() == 1));
    assert_eq!(
        (ports[1].protocol, ports[1].filter.0.len(), &ports[1].origins),
        (ReceiverProtocol::Tcp, 1, &None)
    );
    assert_eq!(ports[2].origins, ports[0].origins);
    assert!(ports.iter().all(|port| port.directory == Directory::Off));
    assert_eq!(
        problems("[backstream]\n[backstream.cam2]\n[custom.cam]\n[custom.cam2]\n[dispatch.CAM2]\n"),
        [
            "f:3: [custom.cam]: there is no stream `cam` (did you mean `cam2`?)",
            "f:4: [custom.cam2] Port: a port of its own is needed",
            "f:5: [dispatch.CAM2]: there is no stream `CAM2` (did you mean `cam2`?)",
        ]
    );
}

#[test]
fn next_hops_by_stream() {
    let config = parse(
        "[backstream.a]\nPort=0\n[dispatch]\nProtocol=tcp, Custom\nHosts=h1, [::1]\nPorts=1,2\n\
         [dispatch.a]\nProtocol=UDP\nHosts=h3\nPorts=3\n",
    )
    .config;
    let hops = config.next_hops.iter().map(|hop| (hop.stream.0, hop.protocol, hop.host.as_str(), hop.port));
    let expected = [(0, HopProtocol::Tcp, "h1", 1), (0, HopProtocol::Tcp, "::1", 2), (1, UDP, "h3", 3)];
    assert!(hops.eq(expected));
    assert_eq!(config.ports.len(), 1);
    assert_eq!(
        problems("[backstream.a]\nPort=0\n[dispatch]\nProtocol=TCP\nHosts=a,b\nPorts=1\n[dispatch.a]\n"),
        [
            "f:6: [dispatch] Ports: 1 in Ports and 2 in Hosts, which go in pairs",
            "f:7: [dispatch.a] Hosts: needed with Protocol = TCP or UDP",
            "f:7: [dispatch.a] Ports: needed with Protocol = TCP or UDP",
        ]
    );
    assert_eq!(
        problems("[backstream.a]\nPort=0\n[dispatch.a]\nHosts=b\nPorts=1\n"),
        ["f:3: [dispatch.a] Protocol: expected TCP or UDP here, as CUSTOM is for all streams"]
    );
    let many = |item: &str| vec![item; 1_001].join(",");
    let text = format!("[dispatch]\nProtocol=UDP\nHosts={}\nPorts={}", many("h"), many("1"));
    assert_eq!(problems(&text), ["f:3: [dispatch] Hosts: there are more than 1000 next hops"]);
    assert_eq!(parse("[dispatch]\nHosts=not dialled\nPorts=x,y").config.next_hops, []);
}

#[test]
fn datagrams_to_next_hops() {
    let hops = |text: &str| parse(&format!("[backstream.a]\nPort=0\n{text}")).config.next_hops;
    let all = hops(
        "[dispatch]\nProtocol=UDP\nHosts=239.1.2.3\nPorts=1\nFraming=rtp\nTtl=16\nInterface=10.0.0.1\n\
         [dispatch.a]\nHosts=h\nPorts=2\nFraming=\n",
    );
    let of = |framing| {
        let interface = Some(IpAddr::from([10, 0, 0, 1]));
        HopProtocol::Udp(Datagrams { framing, multicast_ttl: 16, interface })
    };
    assert_eq!((all[0].protocol, all[1].protocol), (of(Framing::Rtp), of(Framing::Ts)));
    assert_eq!(
        problems(
            "[backstream]\nFormat=bytes\n[dispatch]\nProtocol=UDP\nHosts=h\nPorts=1\nFraming=RTP\nTtl=0\n\
             Interface=eth0\n"
        ),
        [
            "f:7: [dispatch] Framing: RTP carries MPEG-TS, and [backstream] has Format = bytes",
            "f:8: [dispatch] Ttl: \"0\" is not a number from 1 to 255",
            "f:9: [dispatch] Interface: \"eth0\" is not an IP address",
        ]
    );
    assert!(parse("[backstream]\nFormat=bytes\n[dispatch]\nFraming=RTP").config.next_hops.is_empty());
}

#[test]
fn messages_come_and_go_in_datagrams() {
    let hop = "[dispatch]\nProtocol=UDP\nHosts=h\nPorts=1\n";
    let config = parse(&format!("[backstream]\nProtocol=UDP\nFormat=Messages\n{hop}")).config;
    assert_eq!(config.streams[0].format, Format::Messages);
    let HopProtocol::Udp(datagrams) = config.next_hops[0].protocol else { panic!("a UDP hop") };
    assert_eq!(datagrams.framing, Framing::Message);
    assert_eq!(
        problems(&format!("[backstream]\nProtocol=HTTP\nFormat=messages\n{hop}Framing=RTP\n")),
        [
            "f:3: [backstream] Format: messages come one in a datagram, which goes with Protocol = UDP only",
            "f:8: [dispatch] Framing: RTP carries MPEG-TS, and [backstream] has Format = messages",
        ]
    );
    let pulled = "[app]\nRunMode=extra\n[pushstream]\nProtocol=PULL\nUpstreams=ws://a:1\nFormat=messages";
    assert_eq!(parse(pulled).config.streams[0].format, Format::Messages);
}

#[test]
fn a_node_is_not_its_own_next_hop() {
    let told = |input: &str, output: &str| {
        let text = format!("[backstream]\n{input}\nPort=5\n[dispatch]\n{output}\nPorts=5,6");
        config::parse("f", &text).err().map(|problems| problems[0].to_string())
    };
    let own = |host: &str| Some(format!("f:7: [dispatch] Hosts: {host}:5 is this node's own [backstream]"));
    let tcp = "Protocol=TCP\nBind=*";
    assert_eq!(told(tcp, "Protocol=TCP\nHosts=127.0.0.1,h"), own("127.0.0.1"));
    assert_eq!(told(tcp, "Protocol=UDP,TCP\nHosts=LocalHost,h"), own("LocalHost"));
    assert_eq!(told("Protocol=HTTP\nBind=10.0.0.1", "Protocol=TCP\nHosts=10.0.0.1,h"), own("10.0.0.1"));
    assert_eq!(told("Protocol=UDP\nBind=239.1.2.3", "Protocol=UDP\nHosts=239.1.2.3,h"), own("239.1.2.3"));
    for (input, output) in [
        (tcp, "Protocol=UDP\nHosts=127.0.0.1,h"),
        (tcp, "Protocol=TCP\nHosts=h,127.0.0.1"),
        (tcp, "Protocol=CUSTOM\nHosts=127.0.0.1,h"),
        ("Protocol=TCP\nBind=127.0.0.1", "Protocol=TCP\nHosts=10.0.0.1,h"),
    ] {
        assert_eq!(told(input, output), None, "{input} {output}");
    }
    assert_eq!(
        problems("[dispatch]\nProtocol=TCP,CUSTOM\nHosts=127.0.0.1\nPorts=8088"),
        ["f:3: [dispatch] Hosts: 127.0.0.1:8088 is this node's own [custom]"]
    );
}

#[test]
fn what_is_open_to_everyone_is_warned_of() {
    let warnings = |text| parse(text).warnings;
    assert_eq!(warnings("[backstream]\nBind=*\nSecret=s"), [""; 0]);
    assert_eq!(warnings("[backstream]\nBind=*\n[authority]\nUse=True\nIps=10.0.0.0/8"), [""; 0]);
    assert_eq!(warnings("[backstream]\nBind=*").len(), 1);
    assert_eq!(
        warnings("[authority]\nUse=True"),
        ["[authority] Use = True with an empty list lets anyone publish: name the publishers in Ips."]
    );
    assert_eq!(
        warnings("[admin]\nBind=0.0.0.0\nPort=9000"),
        ["[admin] (0.0.0.0:9000) asks nobody for a password: set Bind = 127.0.0.1, or shield it."]
    );
    assert_eq!(warnings("[custom]\nTrustedProxies=10.0.0.0/8, ::1"), [""; 0]);
    assert_eq!(
        warnings("[custom]\nTrustedProxies=::1,0.0.0.0/0"),
        ["[custom] TrustedProxies is everybody, so that anybody may claim any address: name the proxies."]
    );
    let many: String = (1..9).map(|n| format!("[backstream.n{n}]\nPort={n}\nBind=*\n")).collect();
    let told = warnings(&many);
    assert!(told[0].contains("[backstream.n3] (0.0.0.0:3) and 5 more may publish"), "{told:?}");
}

#[test]
fn secrets_are_not_shown() {
    let text = "[backstream]\nSecret = s3cr/et\n[pushstream]\nSecret = s3cr/et\ns3cr/et\n[app]\nSecret = s3cr/et ; x\n";
    assert!(!problems(text).concat().contains("s3cr"));
    let loaded = parse("[backstream]\nSecret = s3cret\nBind = *");
    assert!(loaded.config.streams[0].secret.matches(b"s3cret"));
    assert!(!format!("{loaded:?}").contains("s3cret"));
}

/// Lines that get past the first stages as often as not.
fn line() -> impl Strategy<Value = String> {
    let section =
        "\\[(app|backstream|pushstream|dispatch|authority|custom|buffer|monitor|admin)(\\.[ab])?\\]";
    let key = "(RunMode|Protocol|Bind|Port|Hosts|Ports|Use|Ips|Quiet|Source|Secret|Format|Origins|LagLimit)";
    let value =
        "(extra|monitor|TCP|UDP|HTTP|CUSTOM,TCP|True|0|1|99999|239.1.1.1|::1|\\*|off|a,b|1,2|\\PC{0,8})";
    prop_oneof![
        3 => section.prop_map(|text| text),
        6 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => any::<String>(),
    ]
}

fn problems_have_lines_of_the_file(text: &str) -> Result<(), TestCaseError> {
    let lines = text.lines().count();
    if let Err(problems) = config::parse("f", text) {
        prop_assert!(!problems.is_empty());
        for problem in problems {
            let of_file = ["f: is not a text file in UTF-8", "problems more"];
            let told = problem.to_string();
            match problem.line() {
                Some(line) => prop_assert!((1..=lines).contains(&line), "{told}"),
                None => prop_assert!(of_file.iter().any(|end| told.ends_with(end)), "{told}"),
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_understood_or_refused(text in any::<String>()) {
        problems_have_lines_of_the_file(&text)?;
    }

    #[test]
    fn any_settings_are_understood_or_refused(lines in prop::collection::vec(line(), 0..40)) {
        problems_have_lines_of_the_file(&lines.join("\n"))?;
    }

    #[test]
    fn any_damage_to_the_shipped_file_is_understood_or_refused(
        at in 0..SHIPPED.len(), length in 0_usize..20, patch in "\\PC{0,5}"
    ) {
        let mut bytes = SHIPPED.as_bytes().to_vec();
        bytes.splice(at..(at + length).min(SHIPPED.len()), patch.bytes());
        problems_have_lines_of_the_file(&String::from_utf8_lossy(&bytes))?;
    }
}

#[test]
fn upstreams() {
    let extra = |text: &str| format!("[app]\nRunMode=extra\n[custom]\nPort=8088\n[pushstream]\n{text}");
    let streams = parse(&extra(
        "Protocol=pull\nUpstreams = ws://a:8088/live, ws://[::1]/\n[pushstream.b]\nUpstreams=ws://a/b\nTimeout=5\n",
    ))
    .config
    .streams;
    let upstreams =
        |index: usize| streams[index].upstreams.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(upstreams(0), ["ws://a:8088/live", "ws://[::1]:80/"]);
    assert_eq!(upstreams(1), ["ws://a:80/b"]);
    assert!(streams.iter().all(|stream| stream.protocol == InputProtocol::Pull));
    assert_eq!(streams.iter().map(|stream| stream.timeout.as_secs()).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(parse(&extra("Protocol=PULL\nUpstreams=ws://a")).warnings, [""; 0], "nothing listens");
    assert!(parse(&extra("Upstreams=ws://a")).config.streams[0].upstreams.is_empty(), "Protocol is TCP");
    assert_eq!(
        problems(&extra("Protocol=PULL\n[pushstream.b]\nUpstreams=http://a:1/x")),
        [
            "f:5: [pushstream] Upstreams: needed with Protocol = PULL: ws://host:port/name of a node, or several with \
             commas between them",
            "f:8: [pushstream.b] Upstreams: \"http://a:1/x\" is not ws://host:port/path",
        ]
    );
    assert_eq!(
        problems(&extra("Protocol=PULL\nUpstreams=wss://a")),
        [
            "f:7: [pushstream] Upstreams: wss is not spoken here; pull from ws:// over a private network or tunnel"
        ]
    );
    assert_eq!(
        problems(&extra("Protocol=PULL\nUpstreams=ws://localhost:8088/live,ws://10.0.0.1:8088/")),
        ["f:7: [pushstream] Upstreams: ws://localhost:8088/live is this node's own [custom]"]
    );
    let many = ["ws://a"; 17].join(",");
    assert_eq!(
        problems(&extra(&format!("Protocol=PULL\nUpstreams={many}"))),
        ["f:7: [pushstream] Upstreams: there are more than 16"]
    );
    assert_eq!(
        problems("[backstream]\nProtocol=PULL"),
        ["f:2: [backstream] Protocol: \"PULL\" is not one of HTTP, TCP, UDP"]
    );
}
