//! The tables of a transport stream as they are valid now: PAT and PMTs (ISO/IEC 13818-1 §2.4.4).

use super::Codecs;
use super::continuity::Verdict;
use super::health::Health;
use super::packet::{PID_NULL, PID_PAT, Packet};
use super::program::{self, ProgramMap, TABLE_ID_PMT};
use super::psi::{SectionReader, is_intact};

/// The most programs whose PMTs are read, those first in the PAT. The packets of further ones are carried all the same.
const PROGRAMS_MAX: usize = 64;

/// The most sections of a PAT that are kept, those first; each has room for 253 programs.
const PAT_SECTIONS_MAX: usize = 4;

/// Table id of a PAT section.
const TABLE_ID_PAT: u8 = 0;

/// What the tables say. Empty until they have come.
#[derive(Debug)]
pub(crate) struct Tables {
    /// The PAT's sections by number, empty where one has not come yet.
    pat: Vec<Vec<u8>>,
    programs: Vec<Program>,
    /// One for PID 0, then one for each PID that a PMT comes on: at most 1 + [`PROGRAMS_MAX`].
    readers: Vec<(u16, SectionReader)>,
    main: Main,
}

#[derive(Debug)]
struct Program {
    number: u16,
    map_pid: u16,
    map: Option<ProgramMap>,
}

/// What matters of the program that decides where receivers may begin: the first with video, else the first with audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Main {
    pub video_pid: Option<u16>,
    pub audio_pid: Option<u16>,
    pub pcr_pid: Option<u16>,
    pub codecs: Codecs,
    /// Every PMT that the PAT announces has come, and none has video.
    pub without_video: bool,
}

impl Default for Tables {
    fn default() -> Self {
        let readers = vec![(PID_PAT, SectionReader::default())];
        Tables { pat: Vec::new(), programs: Vec::new(), readers, main: Main::default() }
    }
}

impl Tables {
    /// Takes the next packet of any PID.
    pub fn take(&mut self, packet: Packet, verdict: Verdict, health: &mut Health) {
        let Some((pid, reader)) = self.readers.iter_mut().find(|(pid, _)| *pid == packet.pid()) else {
            return;
        };
        let pid = *pid;
        match verdict {
            Verdict::Follows => (),
            Verdict::Restarts | Verdict::Broken => reader.reset(),
            Verdict::Repeated => return,
        }
        if packet.scrambled() {
            return;
        }
        // A packet completes more than one section only if they are tiny.
        let mut sections = Vec::new();
        reader.push(packet, |section| sections.push(section.to_vec()));
        for section in sections {
            self.take_section(pid, &section, health);
        }
    }

    /// What counts for entry points.
    pub fn main(&self) -> &Main {
        &self.main
    }

    /// Whether a PAT has come.
    pub fn has_pat(&self) -> bool {
        !self.pat.is_empty()
    }

    /// The sections valid now, with the PID they come on: PAT, then PMTs, each PID once. None is empty.
    pub fn sections_by_pid(&self) -> impl Iterator<Item = (u16, Vec<&[u8]>)> {
        let by_pid = self.readers.iter().map(|(pid, _)| {
            let maps = self.programs.iter().filter(|program| program.map_pid == *pid);
            let maps = maps.filter_map(|program| program.map.as_ref()).map(|map| &map.section);
            let pat = self.pat.iter().filter(|_| *pid == PID_PAT);
            let sections = pat.chain(maps).filter(|section| !section.is_empty()).map(Vec::as_slice);
            (*pid, sections.collect::<Vec<_>>())
        });
        by_pid.filter(|(_, sections)| !sections.is_empty())
    }

    /// Every PID that the PMTs name.
    pub fn elementary_pids(&self) -> impl Iterator<Item = u16> {
        let maps = self.programs.iter().filter_map(|program| program.map.as_ref());
        maps.flat_map(|map| map.pids.iter().copied().chain([map.pcr_pid])).filter(|&pid| pid != PID_NULL)
    }

    fn take_section(&mut self, pid: u16, section: &[u8], health: &mut Health) {
        if self.is_known(section) {
            return;
        }
        match (pid, section[0]) {
            (PID_PAT, TABLE_ID_PAT) | (_, TABLE_ID_PMT) if !is_intact(section) => health.crc_errors += 1,
            (PID_PAT, TABLE_ID_PAT) => self.take_pat(section),
            (PID_PAT, _) => health.pat_errors += 1,
            (_, TABLE_ID_PMT) => self.take_map(pid, section),
            _ => (),
        }
    }

    /// Whether `section` is valid already: nearly every one is.
    fn is_known(&self, section: &[u8]) -> bool {
        let maps = self.programs.iter().filter_map(|program| program.map.as_ref());
        self.pat.iter().chain(maps.map(|map| &map.section)).any(|known| known == section)
    }

    fn take_pat(&mut self, section: &[u8]) {
        let Some(head) = PatHead::parse(section) else { return };
        let sections = head.last_section_number + 1;
        let of_the_same = |known: &Vec<u8>| {
            known.is_empty() || PatHead::parse(known).is_some_and(|known| known.is_same_table(&head))
        };
        if self.pat.len() != sections.min(PAT_SECTIONS_MAX) || !self.pat.iter().all(of_the_same) {
            self.pat = vec![Vec::new(); sections.min(PAT_SECTIONS_MAX)];
        }
        let Some(place) = self.pat.get_mut(head.section_number) else { return };
        section.clone_into(place);
        self.list_programs();
    }

    /// Brings the programs in line with the PAT; those that stay keep their PMT.
    fn list_programs(&mut self) {
        let mut before = std::mem::take(&mut self.programs);
        let announced = self.pat.iter().flat_map(|section| pat_entries(section));
        for (number, map_pid) in announced.filter(|(number, _)| *number != 0).take(PROGRAMS_MAX) {
            let same = |program: &Program| program.number == number && program.map_pid == map_pid;
            let map = before.iter_mut().find(|program| same(program)).and_then(|program| program.map.take());
            self.programs.push(Program { number, map_pid, map });
        }
        self.readers.retain(|(pid, _)| {
            *pid == PID_PAT || self.programs.iter().any(|program| program.map_pid == *pid)
        });
        for program in &self.programs {
            if self.readers.iter().all(|(pid, _)| *pid != program.map_pid) {
                self.readers.push((program.map_pid, SectionReader::default()));
            }
        }
        self.choose_main();
    }

    fn take_map(&mut self, pid: u16, section: &[u8]) {
        let Some(map) = ProgramMap::parse(section) else { return };
        let number = u16::from_be_bytes([section[3], section[4]]);
        let announced = |program: &&mut Program| program.number == number && program.map_pid == pid;
        if let Some(program) = self.programs.iter_mut().find(announced) {
            program.map = Some(map);
            self.choose_main();
        }
    }

    fn choose_main(&mut self) {
        let maps = || self.programs.iter().filter_map(|program| program.map.as_ref());
        let with_video = maps().find(|map| map.video_pid.is_some());
        let main = with_video.or_else(|| maps().find(|map| map.audio_pid.is_some()));
        self.main = Main {
            video_pid: main.and_then(|map| map.video_pid),
            audio_pid: main.and_then(|map| map.audio_pid),
            pcr_pid: main.map(|map| map.pcr_pid),
            codecs: main.map(|map| map.codecs).unwrap_or_default(),
            without_video: with_video.is_none()
                && !self.programs.is_empty()
                && self.programs.iter().all(|program| program.map.is_some()),
        };
    }
}

/// What tells the sections of one PAT from those of another.
#[derive(Debug, PartialEq, Eq)]
struct PatHead {
    transport_stream_id: [u8; 2],
    version: u8,
    section_number: usize,
    last_section_number: usize,
}

impl PatHead {
    /// `None` if `section` is no PAT section that is valid now.
    fn parse(section: &[u8]) -> Option<PatHead> {
        let [TABLE_ID_PAT, _, _, id_high, id_low, version, number, last, _, _, _, _, ..] = *section else {
            return None;
        };
        (version & 1 == 1 && number <= last).then_some(PatHead {
            transport_stream_id: [id_high, id_low],
            version,
            section_number: usize::from(number),
            last_section_number: usize::from(last),
        })
    }

    fn is_same_table(&self, other: &PatHead) -> bool {
        self.version == other.version && self.transport_stream_id == other.transport_stream_id
    }
}

/// Program numbers and PIDs in a PAT section; nothing for an empty one.
fn pat_entries(section: &[u8]) -> impl Iterator<Item = (u16, u16)> {
    let entries = section.get(8..section.len().saturating_sub(4)).unwrap_or_default();
    entries.as_chunks().0.iter().map(|&[number_high, number_low, pid_high, pid_low]| {
        (u16::from_be_bytes([number_high, number_low]), program::pid(pid_high, pid_low))
    })
}
