//! How a folder is mounted, and what follows for locks: whether they reach other machines that have it too.
//!
//! Knows what the kernel says of mounts (`/proc/self/mountinfo`), not whether it is true: `kernel::excludes` tries locks on
//! this machine. Between machines nothing can be tried from one of them.

use std::fs;
use std::path::{Path, PathBuf};

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its type, as `ext4` or `nfs4`.
    pub kind: String,
    /// Where it is mounted.
    pub point: PathBuf,
    /// Its options: of the mount, then of the file system.
    pub options: Vec<String>,
}

/// How far the kernel's locks reach, if they work at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocksAre {
    /// All who see the files.
    Shared,
    /// Only the processes of one machine, for this reason.
    OnThisHostOnly(&'static str),
    /// The mount doesn't tell.
    Unknown,
}

/// File systems that other machines see too, and what `flock` does on them.
const NETWORK: [(&str, LocksAre); 20] = [
    ("nfs", LocksAre::Shared),
    ("nfs4", LocksAre::Shared),
    ("lustre", LocksAre::Unknown),
    // beegfs-client.conf
    ("beegfs", LocksAre::OnThisHostOnly("`tuneUseGlobalFileLocks` is off by default")),
    ("gpfs", LocksAre::Unknown),
    ("ceph", LocksAre::Shared),
    ("gfs2", LocksAre::Shared),
    ("ocfs2", LocksAre::Shared),
    ("cifs", LocksAre::Unknown),
    ("smb3", LocksAre::Unknown),
    ("afs", LocksAre::Unknown),
    ("pvfs2", LocksAre::OnThisHostOnly("OrangeFS has no locks")),
    ("panfs", LocksAre::Unknown),
    ("wekafs", LocksAre::Unknown),
    ("9p", LocksAre::Unknown),
    ("virtiofs", LocksAre::Unknown),
    ("fuse.sshfs", LocksAre::OnThisHostOnly("sshfs passes no locks on")),
    ("fuse.glusterfs", LocksAre::Shared),
    ("fuse.ceph", LocksAre::Unknown),
    ("fuse.beegfs", LocksAre::Unknown),
];

impl Mount {
    /// The mount of `path`, or of its nearest parent that exists. None if the system doesn't tell.
    pub fn of(path: &Path) -> Option<Mount> {
        let path = std::path::absolute(path).ok()?;
        let found = path.ancestors().find_map(|place| fs::canonicalize(place).ok())?;
        let device = rustix::fs::stat(&found).ok()?.st_dev;
        let device = (rustix::fs::major(device), rustix::fs::minor(device));
        Mount::listed(&fs::read_to_string("/proc/self/mountinfo").ok()?, &found, device)
    }

    /// The mount of `path` in a text like that of `mountinfo`. A later mount hides an earlier one. `device`: that of the path, as
    /// a mount may be hidden by another above it; some file systems show other devices.
    fn listed(text: &str, path: &Path, device: (u32, u32)) -> Option<Mount> {
        let mut best: Option<(bool, usize, Mount)> = None;
        for (of, mount) in text.lines().filter_map(Mount::line) {
            if !path.starts_with(&mount.point) {
                continue;
            }
            let depth = mount.point.components().count();
            if best.as_ref().is_none_or(|(has, than, _)| (of == device, depth) >= (*has, *than)) {
                best = Some((of == device, depth, mount));
            }
        }
        best.map(|(_, _, mount)| mount)
    }

    /// `36 35 98:0 /root /point rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`
    fn line(line: &str) -> Option<((u32, u32), Mount)> {
        let (own, of_type) = line.split_once(" - ")?;
        let own: Vec<&str> = own.split(' ').collect();
        let mut of_type = of_type.split(' ');
        let (major, minor) = own.get(2)?.split_once(':')?;
        let kind = unescaped(of_type.next()?);
        let of_system = of_type.nth(1).unwrap_or_default();
        let options = own.get(5)?.split(',').chain(of_system.split(','));
        let options = options.filter(|option| !option.is_empty()).map(unescaped).collect();
        let mount = Mount { kind, point: PathBuf::from(unescaped(own.get(4)?)), options };
        Some(((major.parse().ok()?, minor.parse().ok()?), mount))
    }

    /// Whether other machines may have the same files.
    pub fn is_network(&self) -> bool {
        NETWORK.iter().any(|(kind, _)| *kind == self.kind) || self.kind.starts_with("fuse.")
    }

    /// How far the kernel's locks reach.
    pub fn locks(&self) -> LocksAre {
        let has = |wanted: &str| self.options.iter().any(|option| option == wanted);
        match &*self.kind {
            "nfs" | "nfs4" if has("nolock") => LocksAre::OnThisHostOnly("it is mounted with `nolock`"),
            "nfs" | "nfs4" if has("local_lock=all") || has("local_lock=flock") => {
                LocksAre::OnThisHostOnly("it is mounted with `local_lock`")
            }
            "lustre" if has("localflock") => LocksAre::OnThisHostOnly("it is mounted with `localflock`"),
            "lustre" if has("flock") => LocksAre::Shared,
            "cifs" | "smb3" if has("nobrl") => LocksAre::OnThisHostOnly("it is mounted with `nobrl`"),
            "ocfs2" if has("localflocks") => LocksAre::OnThisHostOnly("it is mounted with `localflocks`"),
            "gfs2" if has("localflocks") => LocksAre::OnThisHostOnly("it is mounted with `localflocks`"),
            "afs" if has("flock=local") => LocksAre::OnThisHostOnly("it is mounted with `flock=local`"),
            kind => match NETWORK.iter().find(|(network, _)| *network == kind) {
                Some((_, reach)) => reach.clone(),
                None if self.is_network() => LocksAre::Unknown,
                // All who see it are on this machine.
                None => LocksAre::Shared,
            },
        }
    }
}

/// Whether the folder is on a disk of this machine: asked without reading the list of mounts, which may be long.
pub fn is_surely_local(folder: &Path) -> bool {
    /// ext2 to ext4, XFS, Btrfs, tmpfs, overlayfs, F2FS, ZFS, from statfs(2); the last from OpenZFS.
    const LOCAL: [u64; 7] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0xF2F5_2010, 0x2FC1_2FC1];
    rustix::fs::statfs(folder).is_ok_and(|found| LOCAL.contains(&(found.f_type as u64 & 0xFFFF_FFFF)))
}

/// Without the octal escapes for blanks and the like.
fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        match (first, code) {
            (b'\\', Some(code)) => {
                bytes.push(code);
                rest = &after[3..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 27 0:50 / /mnt/two\\040words rw,relatime shared:2 master:1 - nfs4 server:/home rw,vers=4.2,local_lock=none
41 27 0:51 / /mnt/old rw - nfs server:/old rw,nolock,vers=3
42 27 0:52 / /scratch rw,flock - lustre a@tcp:/work rw,lazystatfs
43 27 0:53 / /scratch/own rw - lustre a@tcp:/own rw,localflock
44 27 0:54 / /mnt rw - tmpfs none rw
45 27 0:55 / /b rw - beegfs beegfs_nodev rw,cfgFile=/etc/beegfs/beegfs-client.conf
46 27 0:56 / /s rw - fuse.sshfs me@there: rw,user_id=0
47 27 0:57 / /j rw - fuse.juicefs JuiceFS:x rw
48 27 0:58 / /l rw,relatime - lustre a@tcp:/work rw,lazystatfs
a line that is none
";

    fn of(path: &str, device: (u32, u32)) -> Mount {
        Mount::listed(TEXT, Path::new(path), device).unwrap()
    }

    #[test]
    fn a_path_has_the_deepest_mount_above_it_unless_that_is_hidden() {
        assert_eq!(of("/home/me", (254, 0)).point, Path::new("/"));
        assert_eq!(of("/scratchy", (254, 0)).point, Path::new("/"));
        assert_eq!(of("/scratch/own/cache", (0, 53)).point, Path::new("/scratch/own"));
        assert_eq!(of("/mnt/two words/cache", (0, 50)).kind, "nfs4");
        assert_eq!(of("/mnt/two words/cache", (0, 54)).kind, "tmpfs", "another was mounted over it");
        assert_eq!(of("/mnt/two words/cache", (9, 9)).kind, "nfs4", "with devices that nobody lists, the path decides");
        assert_eq!(of("/scratch", (0, 52)).options, ["rw", "flock", "rw", "lazystatfs"]);
        assert_eq!(Mount::listed("", Path::new("/"), (0, 0)), None);
    }

    #[test]
    fn the_options_of_a_mount_say_how_far_locks_reach() {
        let reach = |path: &str, device| of(path, (0, device)).locks();
        let is_here_only = |path: &str, device| matches!(reach(path, device), LocksAre::OnThisHostOnly(_));
        assert_eq!(of("/home", (254, 0)).locks(), LocksAre::Shared);
        assert!(!of("/home", (254, 0)).is_network() && of("/j", (0, 57)).is_network());
        assert_eq!(reach("/mnt/two words", 50), LocksAre::Shared);
        assert!(is_here_only("/mnt/old", 51) && is_here_only("/scratch/own", 53));
        assert!(is_here_only("/b", 55) && is_here_only("/s", 56));
        assert_eq!(reach("/scratch", 52), LocksAre::Shared);
        assert_eq!([reach("/j", 57), reach("/l", 58)], [LocksAre::Unknown, LocksAre::Unknown]);
    }

    #[test]
    fn escapes_are_read_and_a_lone_backslash_stays() {
        assert_eq!(unescaped("a\\040b\\011\\134"), "a b\t\\");
        assert_eq!(unescaped("a\\04\\x"), "a\\04\\x");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_system_tells_of_its_mounts() {
        assert!(Mount::of(Path::new("/proc/self")).is_some_and(|mount| mount.kind == "proc"));
        assert!(Mount::of(Path::new("/nothing/is/here")).is_some_and(|mount| mount.point == Path::new("/")));
    }
}
