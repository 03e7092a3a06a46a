use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coattail::kill_point;
use coattail::wire::control::{Key, KeyKind, KeyState, RotateKey};
use coattail::wire::{ErrorCode, Failure};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::config::{Authentication, Config};
use crate::keys::{Identity, KeyError, PairFiles, PublicIdentity, TlsIdentity, rotation};
use crate::store::{RetiredKey, Store};

/// The longest overlap, in seconds: ten years, as long as a certificate lasts.
const MAX_OVERLAP: u64 = 10 * 365 * 24 * 60 * 60;

/// The keys of this instance, and their replacement. Cheap to clone.
///
/// What is replaced is decided by one transaction, and what a running service does with it is what a restart does: it
/// opens the instance anew. So nothing can go on with an old key, and there is one way to take over a new one, which is
/// also the one after a kill.
#[derive(Clone)]
pub(crate) struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    identity: Arc<Identity>,
    store: Store,
    /// The keys that this instance was opened with. Not read from the files: they change while one is replaced.
    current: Vec<Key>,
    retired: Vec<RetiredKey>,
    /// Set from the moment a key is being replaced until the instance is opened anew.
    rotating: AtomicBool,
    /// Asks the service to open the instance anew.
    renew: CancellationToken,
}

impl Keys {
    /// `retired` are the keys that were replaced before.
    pub(crate) fn new(
        config: Config,
        identity: Arc<Identity>,
        store: Store,
        retired: Vec<RetiredKey>,
        renew: CancellationToken,
    ) -> Result<Self, Failure> {
        let rotating = AtomicBool::new(false);
        let current = current(&config)?;
        Ok(Self { inner: Arc::new(Inner { config, identity, store, current, retired, rotating, renew }) })
    }

    /// Replaces a key.
    pub(crate) async fn rotate(&self, request: RotateKey) -> Result<Vec<Key>, Failure> {
        let RotateKey { kind, overlap } = request;
        if overlap > MAX_OVERLAP {
            return Err(Failure::new(ErrorCode::InvalidInput, "the overlap is longer than ten years")
                .hint("7d is the default; until it ends, a stolen old key is of use"));
        }
        let files = self.files(kind)?;
        if self.inner.rotating.swap(true, Ordering::AcqRel) {
            return Err(Failure::new(ErrorCode::Busy, "another key is being replaced at this moment")
                .hint("try again in a second"));
        }
        let now = Timestamp::now();
        let retired = match self.replace(kind, &files, now, now + Duration::from_secs(overlap)).await {
            Ok(retired) => retired,
            Err(failure) => {
                self.inner.rotating.store(false, Ordering::Release);
                return Err(failure);
            }
        };
        tracing::warn!(kind = kind.name(), old = %retired.id, overlap_seconds = overlap, "replaced a key");
        // From here on it is replaced, whatever fails: the next one who opens the instance finishes it.
        let finished = files.finish(|text| text == retired.public);
        kill_point!("rotation.finished");
        self.inner.renew.cancel();
        finished?;
        Ok(describe(current(&self.inner.config)?, self.inner.retired.iter().chain([&retired])))
    }

    /// The keys that there are and were, present ones first.
    pub(crate) fn list(&self) -> Vec<Key> {
        describe(self.inner.current.clone(), self.inner.retired.iter())
    }

    async fn replace(
        &self,
        kind: KeyKind,
        files: &PairFiles,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<RetiredKey, Failure> {
        let Inner { identity, store, .. } = &*self.inner;
        let mut statement = None;
        let (id, public) = present(kind, files)?;
        files.prepare(|next| match kind {
            KeyKind::Auth => Identity::generate().save(&next.private, &next.public),
            KeyKind::Identity => {
                let new = Identity::generate();
                statement = Some(rotation::state(identity, &new, now, until));
                new.save(&next.private, &next.public)
            }
            KeyKind::Tls => TlsIdentity::generate(identity.issuer(), now, &next.private, &next.public),
        })?;
        if kind == KeyKind::Tls {
            // The only kind whose private half is of use afterwards: for those who expect the old certificate.
            files.keep(&id)?;
        }
        let statement = statement.map(|statement| serde_json::to_string(&statement).expect("it is JSON"));
        let (replaced, until) = (now.as_millisecond(), until.as_millisecond());
        let retired = RetiredKey { kind, id, public, replaced, until, statement };
        kill_point!("rotation.prepared");
        store.retire_key(retired.clone()).await?;
        kill_point!("rotation.committed");
        Ok(retired)
    }

    fn files(&self, kind: KeyKind) -> Result<PairFiles, Failure> {
        pair_files(&self.inner.config, kind).ok_or_else(|| match kind {
            KeyKind::Tls => Failure::new(ErrorCode::InvalidInput, "TLS is off, so there is no certificate")
                .hint("set `service.tls.enabled` in config.yml, and restart the service"),
            _ => Failure::new(ErrorCode::InvalidInput, "tokens are signed with a shared secret from config.yml")
                .hint("a secret cannot be replaced with an overlap: use a key pair, as `coattail new` makes one"),
        })
    }
}

/// The present keys first, then those that were replaced, the last one first.
fn describe<'a>(mut keys: Vec<Key>, retired: impl DoubleEndedIterator<Item = &'a RetiredKey>) -> Vec<Key> {
    let now = Timestamp::now().as_millisecond();
    let time = |at| Timestamp::from_millisecond(at).map(|at| at.to_string()).ok();
    keys.extend(retired.rev().map(|key| Key {
        id: key.id.clone(),
        kind: key.kind,
        state: if now < key.until { KeyState::Overlap } else { KeyState::Ended },
        replaced: time(key.replaced),
        until: time(key.until),
    }));
    keys
}

fn current(config: &Config) -> Result<Vec<Key>, KeyError> {
    let pairs = KINDS.into_iter().filter_map(|kind| Some((kind, pair_files(config, kind)?)));
    pairs
        .map(|(kind, files)| {
            let (id, _) = present(kind, &files)?;
            Ok(Key { id, kind, state: KeyState::Current, replaced: None, until: None })
        })
        .collect()
}

/// Where the files of a key are; none for a shared secret, and without TLS.
pub(crate) fn pair_files(config: &Config, kind: KeyKind) -> Option<PairFiles> {
    let (private, public) = match kind {
        KeyKind::Auth => match &config.authentication {
            Authentication::Files(files) => (&files.private, &files.public),
            Authentication::Secret(_) => return None,
        },
        KeyKind::Identity => (&config.validation.private, &config.validation.public),
        KeyKind::Tls => config.tls.as_ref().map(|files| (&files.key, &files.cert))?,
    };
    Some(PairFiles { private: private.clone(), public: public.clone() })
}

/// What names the present key of a kind, and the text of its public half.
fn present(kind: KeyKind, files: &PairFiles) -> Result<(String, String), KeyError> {
    if kind == KeyKind::Tls {
        let tls = TlsIdentity::load(&files.private, &files.public)?;
        return Ok((tls.fingerprint(), tls.certificate_pem));
    }
    let public = PublicIdentity::from_pem(&crate::keys::file::read_public(&files.public)?)?;
    let id = if kind == KeyKind::Auth { public.key_id() } else { public.issuer().to_string() };
    Ok((id, public.pem().to_owned()))
}

/// Every kind of key, in the order in which they are listed.
pub(crate) const KINDS: [KeyKind; 3] = [KeyKind::Identity, KeyKind::Auth, KeyKind::Tls];
