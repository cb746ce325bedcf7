//! Every section and key there is. What isn't here is refused; `conf/app.conf` explains each, and a test compares the two.

/// A section, its keys, and what they mean to its suffixed relatives (`[custom.cam2]` to `[custom]`).
#[derive(Debug, PartialEq)]
pub(super) struct SectionSpec {
    pub(super) name: &'static str,
    /// A suffixed section without the key has the value of the section without suffix.
    pub(super) inherited: &'static [&'static str],
    /// Each section has its own.
    pub(super) own: &'static [&'static str],
    /// In the section without suffix only.
    pub(super) main: &'static [&'static str],
}

impl SectionSpec {
    /// Whether there may be a section `[name.suffix]`.
    pub(super) fn takes_suffix(&self) -> bool {
        !self.inherited.is_empty() || !self.own.is_empty()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.inherited.iter().chain(self.own).chain(self.main).copied()
    }
}

pub(super) const SECTIONS: &[SectionSpec] = &[
    SectionSpec {
        name: "app",
        inherited: &[],
        own: &[],
        main: &["RunMode", "Node", "Monitor", "Workers", "Coalesce", "Quiet", "Drain"],
    },
    SectionSpec {
        name: "backstream",
        inherited: &["Protocol", "Bind", "Secret", "Format", "Timeout", "Takeover"],
        own: &["Port", "Source", "Interface"],
        main: &[],
    },
    SectionSpec {
        name: "pushstream",
        inherited: &["Protocol", "Bind", "Format", "Timeout", "Takeover"],
        own: &["Port", "Source", "Interface", "Upstreams"],
        main: &[],
    },
    SectionSpec { name: "authority", inherited: &[], own: &[], main: &["Use", "Ips"] },
    SectionSpec {
        name: "dispatch",
        inherited: &["Protocol", "Framing", "Ttl", "Interface"],
        own: &["Hosts", "Ports"],
        main: &[],
    },
    SectionSpec {
        name: "custom",
        inherited: &[
            "Protocol",
            "Bind",
            "Start",
            "LagLimit",
            "StallLimit",
            "Origins",
            "Directory",
            "FilterIps",
        ],
        own: &["Port"],
        main: &["MaxClients", "MaxClientsPerIp", "TrustedProxies"],
    },
    SectionSpec { name: "buffer", inherited: &[], own: &[], main: &["Seconds", "Megabytes"] },
    SectionSpec { name: "monitor", inherited: &[], own: &[], main: &["Bind", "Port", "Secret", "MaxNodes"] },
    SectionSpec { name: "admin", inherited: &[], own: &[], main: &["Bind", "Port"] },
];

/// The section called `name`, in any case.
pub(super) fn section(name: &str) -> Option<&'static SectionSpec> {
    SECTIONS.iter().find(|spec| spec.name.eq_ignore_ascii_case(name))
}

/// The most letters that a mistaken name may be away from the one that was meant.
const TYPING_MISTAKES_MAX: usize = 2;

/// `" (did you mean …?)"` with the one of `known` that is nearest to `written`, or nothing if none is near.
pub(super) fn suggestion<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    // The distance costs the product of the lengths, and nothing so long is near anything.
    if written.len() > 64 {
        return String::new();
    }
    let written = written.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&written, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= TYPING_MISTAKES_MAX && *distance < name.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| format!(" (did you mean `{name}`?)"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        assert_eq!(suggestion("protcol", ["Port", "Protocol"]), " (did you mean `Protocol`?)");
        assert_eq!(suggestion("Prot", ["Port", "Protocol"]), " (did you mean `Port`?)");
        assert_eq!(suggestion("elephant", ["Port", "Protocol"]), "");
        assert_eq!(suggestion(&"x".repeat(100_000), ["Port"]), "");
    }

    #[test]
    fn the_shipped_file_has_every_key_and_no_other() {
        let mut known: Vec<String> = Vec::new();
        for spec in SECTIONS {
            known.extend(spec.keys().map(|key| format!("{}.{key}", spec.name)));
        }
        let mut shown = Vec::new();
        let mut section = "";
        for line in include_str!("../../conf/app.conf").lines().filter(|line| !line.starts_with(';')) {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
            } else if let Some((key, _)) = line.split_once('=') {
                shown.push(format!("{section}.{}", key.trim()));
            }
        }
        known.sort();
        shown.sort();
        assert_eq!(known, shown);
    }
}
