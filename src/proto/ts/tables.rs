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
    pub map_pid: Option<u16>,
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
        let maps =
            || self.programs.iter().filter_map(|program| Some((program.map_pid, program.map.as_ref()?)));
        let with_video = maps().find(|(_, map)| map.video_pid.is_some());
        let main = with_video.or_else(|| maps().find(|(_, map)| map.audio_pid.is_some()));
        let map_pid = main.map(|(map_pid, _)| map_pid);
        let main = main.map(|(_, map)| map);
        self.main = Main {
            map_pid,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ts::continuity::Continuity;
    use crate::proto::ts::testing::{Mux, packets, pat_section, pmt_section};
    use crate::proto::ts::{AudioCodec, VideoCodec};

    /// What `tables` make of `stream`, as if nothing had come before it.
    fn take(tables: &mut Tables, stream: &[u8]) -> Health {
        let (mut continuity, mut health) = (Continuity::default(), Health::default());
        for packet in packets(stream) {
            let verdict = continuity.take(packet);
            tables.take(packet, verdict, &mut health);
        }
        health
    }

    #[test]
    fn the_first_program_with_video_counts() {
        let mut mux = Mux::new();
        mux.add_program(1, 0x30, 0x31, &[(0x03, 0x31, &[])]);
        mux.add_program(2, 0x40, 0x41, &[(0x02, 0x41, &[]), (0x81, 0x42, &[])]);
        mux.add_program(3, 0x50, 0x51, &[(0x1b, 0x51, &[]), (0x0f, 0x52, &[])]);
        let mut tables = Tables::default();
        take(&mut tables, &mux.tables().take());
        let main = tables.main();
        assert_eq!((main.video_pid, main.audio_pid, main.pcr_pid), (Some(0x41), Some(0x42), Some(0x41)));
        assert_eq!(main.codecs, Codecs { video: Some(VideoCodec::Mpeg2), audio: Some(AudioCodec::Ac3) });
        assert!(!main.without_video);
        assert_eq!(tables.sections_by_pid().map(|(pid, _)| pid).collect::<Vec<_>>(), [0, 0x30, 0x40, 0x50]);
    }

    #[test]
    fn without_video_is_known_when_every_map_has_come() {
        let mut mux = Mux::with_audio();
        mux.add_program(2, 0x40, 0x41, &[(0x0f, 0x41, &[])]);
        let mut tables = Tables::default();
        let stream = mux.tables().take();
        take(&mut tables, &stream[..2 * 188]);
        assert!(!tables.main().without_video);
        take(&mut tables, &stream[2 * 188..]);
        assert!(tables.main().without_video);
        assert_eq!(tables.main().audio_pid, Some(Mux::AUDIO));
    }

    #[test]
    fn a_new_version_replaces_the_old() {
        let mut mux = Mux::with_video_and_audio();
        let mut tables = Tables::default();
        take(&mut tables, &mux.tables().take());
        let new_map = pmt_section(1, 0x200, &[(0x24, 0x200, &[])]);
        take(&mut tables, &mux.sections(Mux::MAP, &[new_map]).take());
        assert_eq!(tables.main().codecs, Codecs { video: Some(VideoCodec::Hevc), audio: None });

        mux.drop_programs();
        mux.add_program(7, 0x70, 0x71, &[(0x01, 0x71, &[])]);
        take(&mut tables, &mux.pat().take());
        assert_eq!(*tables.main(), Main::default());
        take(&mut tables, &mux.tables().take());
        assert_eq!(tables.main().video_pid, Some(0x71));
        assert_eq!(tables.sections_by_pid().map(|(pid, _)| pid).collect::<Vec<_>>(), [0, 0x70]);
    }

    #[test]
    fn damage_changes_nothing_and_is_counted() {
        let mut mux = Mux::with_video_and_audio();
        let mut tables = Tables::default();
        take(&mut tables, &mux.tables().take());
        let before = *tables.main();
        let mut stream = mux.tables().take();
        stream[20] ^= 1;
        stream[188 + 20] ^= 1;
        assert_eq!(take(&mut tables, &stream).crc_errors, 2);
        let health = take(&mut tables, &mux.sections(PID_PAT, &[pmt_section(1, 0x300, &[])]).take());
        assert_eq!((health.crc_errors, health.pat_errors), (0, 1));
        assert_eq!(*tables.main(), before);
    }

    #[test]
    fn a_section_survives_repetition_and_ends_with_loss() {
        let mut mux = Mux::new();
        mux.add_program(1, 0x30, 0x31, &[(0x1b, 0x31, &[7; 255]), (0x0f, 0x32, &[7; 255])]);
        let stream = mux.tables().take();
        let packets: Vec<_> = stream.chunks(188).collect();
        assert_eq!(packets.len(), 4);

        let mut tables = Tables::default();
        let health = take(&mut tables, &[packets[0], packets[1], packets[3], packets[2]].concat());
        assert_eq!((tables.main().video_pid, health.crc_errors), (None, 0));
        let health =
            take(&mut tables, &[packets[1], packets[1], packets[2], packets[2], packets[3]].concat());
        assert_eq!((tables.main().video_pid, health.crc_errors), (Some(0x31), 0));
    }

    #[test]
    fn a_pat_may_have_several_sections() {
        let mut mux = Mux::new();
        let numbered = |number: u8, programs: &[(u16, u16)]| {
            let mut section = pat_section(programs, 0);
            section.truncate(section.len() - 4);
            section[6..8].copy_from_slice(&[number, 1]);
            crate::proto::ts::testing::with_crc(&mut section);
            section
        };
        let sections = [numbered(0, &[(0, 0x10), (1, 0x30)]), numbered(1, &[(2, 0x40)])];
        let mut tables = Tables::default();
        take(&mut tables, &mux.sections(PID_PAT, &sections).take());
        take(&mut tables, &mux.sections(0x40, &[pmt_section(2, 0x41, &[(0x1b, 0x41, &[])])]).take());
        assert_eq!(tables.main().video_pid, Some(0x41));
        let (pid, kept) = tables.sections_by_pid().next().unwrap();
        assert_eq!((pid, kept.concat()), (PID_PAT, sections.concat()));
    }

    #[test]
    fn of_very_many_programs_the_first_are_read() {
        let mut mux = Mux::new();
        for number in 1..=200 {
            mux.add_program(number, 0x100 + number, 0x200 + number, &[(0x1b, 0x200 + number, &[])]);
        }
        let mut tables = Tables::default();
        take(&mut tables, &mux.tables().take());
        assert_eq!(tables.sections_by_pid().count(), 1 + PROGRAMS_MAX);
        assert_eq!(tables.elementary_pids().count(), 2 * PROGRAMS_MAX);
    }
}
