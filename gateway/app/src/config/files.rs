//! The tenants' files: which of them are served as they are, which changed, and which cannot be
//! served.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dukou_domain::TenantId;
use dukou_spi::settings::{Problem, Severity};

use super::Setup;
use super::conflicts::Accounts;
use super::environment::{ConfigurationEnvironment, Content};
use super::sources::Sources;
use super::tenant::{self, TenantSettings};
use super::tenant_variables::Meant;

/// Which changes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// All: somebody says that the files are as they should be.
    AtOnce,
    /// Those that stand unchanged since the look before: a file may be half written, or away for
    /// the moment in which another takes its place.
    Settled,
}

/// What became of a tenant.
pub enum Change {
    /// It is new, or other than it was.
    Served(Arc<TenantSettings>),
    /// Its file is gone.
    Removed(TenantId),
}

/// What one look at the files found.
#[derive(Default)]
pub struct Look {
    pub changes: Vec<Change>,
    /// In the order of the files; errors and warnings about what was read at this look.
    pub problems: Vec<Problem>,
    /// What was read at this look and cannot be served; what was served before still is.
    pub refused: Vec<PathBuf>,
    /// Something is changing that did not count yet.
    pub unsettled: bool,
    /// `gateway.toml`, or a file that it names, is other than when the process started.
    pub gateway_changed: bool,
}

/// The files of a configuration folder, and what was made of them.
pub struct TenantFiles {
    sources: Sources,
    setup: Setup,
    files: BTreeMap<PathBuf, TenantFile>,
    /// What was read for the gateway's own settings.
    gateway: BTreeMap<PathBuf, Content>,
    /// Why the folder could not be looked into, the last time.
    folder_problem: Option<Problem>,
}

#[derive(Default)]
struct TenantFile {
    /// The file and those it names, as they were read; empty before the first time.
    read: BTreeMap<PathBuf, Content>,
    /// The same at the last look, where they were other than that.
    changing: Option<BTreeMap<PathBuf, Content>>,
    served: Option<Arc<TenantSettings>>,
    /// What the file says now, as long as another tenant stands in its way.
    waiting: Option<Arc<TenantSettings>>,
    /// What stands in its way.
    conflict: Option<Problem>,
    /// What the file says now cannot be read.
    broken: bool,
    /// What can be read of it all the same, until it was compared with the others: who mends the file is told at once
    /// of what else stands in its way.
    told_of: Option<Arc<TenantSettings>>,
    /// The variables that it was read with.
    variables: Meant,
}

impl TenantFiles {
    /// Nothing is read yet but the gateway's own settings, with these sources.
    pub(super) fn new(sources: Sources, setup: Setup) -> Self {
        let gateway = sources.environment.files_read();
        TenantFiles { sources, setup, files: BTreeMap::new(), gateway, folder_problem: None }
    }

    pub(super) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The tenants that are served, in the order of their files.
    pub fn served(&self) -> impl Iterator<Item = &Arc<TenantSettings>> {
        self.files.values().filter_map(|file| file.served.as_ref())
    }

    /// Files, or the folder, whose content is not in force as it was at the last look.
    pub fn refused(&self) -> usize {
        let refused = |file: &&TenantFile| file.broken || file.conflict.is_some();
        self.files.values().filter(refused).count() + usize::from(self.folder_problem.is_some())
    }

    /// Looks at every file and reads those that changed. To be called where waiting for a disk is
    /// no harm.
    pub fn look(&mut self, patience: Patience) -> Look {
        let mut look = Look::default();
        let mut contents = Contents::default();
        if contents.differ(&self.gateway) {
            self.gateway = contents.again(self.gateway.keys());
            look.gateway_changed = true;
        }
        let listed = match self.list() {
            Ok(listed) => listed,
            Err(problem) => {
                if self.folder_problem.as_ref() != Some(&problem) {
                    look.refused.push(PathBuf::from(&problem.file));
                    look.problems.push(problem.clone());
                    self.folder_problem = Some(problem);
                }
                return look;
            }
        };
        self.folder_problem = None;
        for path in &listed {
            self.files.entry(path.clone()).or_default();
        }
        let mut problems = BTreeMap::new();
        let mut changed = false;
        for path in self.due(&listed, patience, &mut contents, &mut look) {
            changed = true;
            if listed.contains(&path) {
                self.read(&path, &mut problems, &mut look);
            } else if let Some(served) = self.files.remove(&path).and_then(|file| file.served) {
                look.changes.push(Change::Removed(served.tenant.id.clone()));
            }
        }
        if changed {
            self.settle(&mut problems, &mut look);
        }
        for problem in problems.into_values().flatten() {
            // What is wrong with two files alike is told once.
            if !look.problems.contains(&problem) {
                look.problems.push(problem);
            }
        }
        look
    }

    /// The files that are there.
    fn list(&self) -> Result<BTreeSet<PathBuf>, Problem> {
        match self.sources.tenant_files()? {
            Some(files) => Ok(files.into_iter().collect()),
            None if self.served().next().is_none() => Ok(BTreeSet::new()),
            // More likely a volume that is away than the end of every business at once.
            None => Err(Problem {
                severity: Severity::Error,
                file: self.sources.tenants_folder().display().to_string(),
                key: "tenants".to_owned(),
                message: "is gone, so that every tenant stays as it is".to_owned(),
                expected: "the folder; without any file in it nobody is served".to_owned(),
            }),
        }
    }

    /// The files to be read or forgotten.
    fn due(
        &mut self,
        listed: &BTreeSet<PathBuf>,
        patience: Patience,
        contents: &mut Contents,
        look: &mut Look,
    ) -> Vec<PathBuf> {
        let mut due = Vec::new();
        for (path, file) in &mut self.files {
            let is_there = listed.contains(path);
            let reads_alike = file.variables == self.sources.meant(path);
            if is_there && !file.read.is_empty() && reads_alike && !contents.differ(&file.read) {
                file.changing = None;
                continue;
            }
            let now = match (is_there, file.read.is_empty()) {
                (false, _) => BTreeMap::new(),
                (true, true) => contents.again([path]),
                (true, false) => contents.again(file.read.keys()),
            };
            if patience == Patience::AtOnce || file.changing.as_ref() == Some(&now) {
                file.changing = None;
                due.push(path.clone());
            } else {
                file.changing = Some(now);
                look.unsettled = true;
            }
        }
        due
    }

    /// Reads one file; what is in it then waits to be served.
    fn read(&mut self, path: &Path, problems: &mut BTreeMap<PathBuf, Vec<Problem>>, look: &mut Look) {
        let mut found = Vec::new();
        let settings = tenant::read(path, &self.sources, &self.setup, &mut found).map(Arc::new);
        let file = self.files.entry(path.to_owned()).or_default();
        file.read = self.sources.environment.files_read();
        file.conflict = None;
        let broken = found.iter().any(|problem| problem.severity == Severity::Error);
        file.variables = self.sources.meant(path);
        (file.waiting, file.told_of) = if broken { (None, settings) } else { (settings, None) };
        file.broken = file.waiting.is_none();
        if file.broken {
            look.refused.push(path.to_owned());
        }
        problems.entry(path.to_owned()).or_default().extend(found);
    }

    /// Serves what waits, except where that would disturb another tenant: then what was served
    /// stays. Who was there first comes first, then the order of the files.
    fn settle(&mut self, problems: &mut BTreeMap<PathBuf, Vec<Problem>>, look: &mut Look) {
        let conflicts = self.conflicts();
        for (path, file) in &mut self.files {
            let Some(waiting) = file.waiting.take() else { continue };
            match conflicts.get(path) {
                None => {
                    file.conflict = None;
                    file.served = Some(Arc::clone(&waiting));
                    look.changes.push(Change::Served(waiting));
                }
                Some(problem) => {
                    file.waiting = Some(waiting);
                    if file.conflict.as_ref() != Some(problem) {
                        file.conflict = Some(problem.clone());
                        problems.entry(path.clone()).or_default().push(problem.clone());
                        look.refused.push(path.clone());
                    }
                }
            }
        }
        look.refused.sort();
        for (path, problem) in self.conflicts_of_broken() {
            problems.entry(path).or_default().push(problem);
        }
        self.files.values_mut().for_each(|file| file.told_of = None);
    }

    /// What would stand in the way of files that cannot be served as it is, were the rest of them right.
    fn conflicts_of_broken(&self) -> Vec<(PathBuf, Problem)> {
        let mut accounts = Accounts::default();
        for file in self.files.values().filter(|file| file.told_of.is_none()) {
            file.waiting.iter().chain(&file.served).take(1).for_each(|says| accounts.add(says));
        }
        let mut found = Vec::new();
        for (path, file) in &self.files {
            let Some(broken) = &file.told_of else { continue };
            found.extend(accounts.conflict(broken).map(|problem| (path.clone(), problem)));
            accounts.add(broken);
        }
        found
    }

    /// Which of those that wait cannot be served.
    fn conflicts(&self) -> BTreeMap<PathBuf, Problem> {
        let mut kept: BTreeMap<PathBuf, Problem> = BTreeMap::new();
        'again: loop {
            let mut accounts = Accounts::default();
            let stays = |path: &Path, file: &TenantFile| file.waiting.is_none() || kept.contains_key(path);
            for (_, file) in self.files.iter().filter(|(path, file)| stays(path, file)) {
                file.served.iter().for_each(|served| accounts.add(served));
            }
            let mut newcomers = BTreeMap::new();
            for (path, file) in self.files.iter().filter(|(path, file)| !stays(path, file)) {
                let Some(waiting) = &file.waiting else { continue };
                match accounts.conflict(waiting) {
                    None => accounts.add(waiting),
                    Some(problem) if file.served.is_none() => {
                        newcomers.insert(path.clone(), problem);
                    }
                    Some(problem) => {
                        // It stays as it is served, which may stand in the way of those before it.
                        kept.insert(path.clone(), problem);
                        continue 'again;
                    }
                }
            }
            newcomers.append(&mut kept);
            return newcomers;
        }
    }
}

/// What files hold, each read once at a look.
#[derive(Default)]
struct Contents {
    known: HashMap<PathBuf, Content>,
}

impl Contents {
    fn of(&mut self, path: &Path) -> Content {
        if let Some(content) = self.known.get(path) {
            return *content;
        }
        let content = ConfigurationEnvironment::content(path);
        self.known.insert(path.to_owned(), content);
        content
    }

    fn differ(&mut self, read: &BTreeMap<PathBuf, Content>) -> bool {
        read.iter().any(|(path, content)| self.of(path) != *content)
    }

    fn again<'a>(&mut self, paths: impl IntoIterator<Item = &'a PathBuf>) -> BTreeMap<PathBuf, Content> {
        paths.into_iter().map(|path| (path.clone(), self.of(path))).collect()
    }
}

#[cfg(test)]
mod tests;
