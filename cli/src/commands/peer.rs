use coattail::id::PeerId;
use coattail::secret::Secret;
use coattail::wire::control::{self, PeerRemoved, RemovePeer, SetPeerAddress, ShowPeerToken};
use coattail::wire::host::{ListPeers, Peer, ShowPeer};
use coattail::wire::{ErrorCode, Failure};
use serde::Serialize;

use super::{ids, input};
use crate::args::{AddPeer, Ended, PeerCommand, SetAddress, Shown, Which};
use crate::context::Context;
use crate::error::ExitStatus;
use crate::output::{Field, Record, Row, ago, list_or, when, yes_no};

impl Row for Peer {
    const COLUMNS: &'static [&'static str] = &["id", "addresses", "connected", "expires"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            list_or(&self.addresses, "-"),
            yes_no(self.connected),
            self.expires.as_deref().map_or_else(|| "never".to_owned(), ago),
        ]
    }
}

impl Record for Peer {
    fn fields(&self) -> Vec<Field> {
        vec![
            ("id", self.id.to_string()),
            ("issuer", self.issuer.to_string()),
            ("addresses", list_or(&self.addresses, "none")),
            ("connected", yes_no(self.connected)),
            ("token", self.token.clone()),
            ("performable", list_or(&self.performable, "none")),
            ("publishable", list_or(&self.publishable, "none")),
            ("subscribable", list_or(&self.subscribable, "none")),
            ("expires", self.expires.as_deref().map_or_else(|| "never".to_owned(), when)),
        ]
    }
}

impl Record for PeerRemoved {
    fn fields(&self) -> Vec<Field> {
        vec![
            ("id", self.id.to_string()),
            ("sessions ended", self.sessions.to_string()),
            ("subscriptions ended", self.subscriptions.to_string()),
        ]
    }
}

pub(super) fn run(context: &Context, command: PeerCommand) -> Result<ExitStatus, Failure> {
    match command {
        PeerCommand::Add(args) => add(context, &args)?,
        PeerCommand::List => {
            let peers = context.talk(async |daemon| daemon.call(&ListPeers {}).await)?;
            context.printer.list(&peers, "this instance has no peers; `coattail peer add` adds one")?;
        }
        PeerCommand::Show(args) => show(context, &args)?,
        PeerCommand::SetAddress(args) => set_address(context, args)?,
        PeerCommand::Remove(args) => remove(context, &args)?,
    }
    Ok(ExitStatus::Done)
}

fn add(context: &Context, args: &AddPeer) -> Result<(), Failure> {
    let token = read_token(context, args)?.trimmed();
    if token.reveal().is_empty() {
        return Err(Failure::new(ErrorCode::Usage, "the token is empty")
            .hint("take it from `coattail token issue -q -r` at the other instance"));
    }
    let peer = context.talk(async |daemon| daemon.call(&control::AddPeer { token }).await)?;
    context.printer.record(&peer)?;
    if !peer.addresses.iter().any(|address| address.tls) {
        context.printer.warn("this peer is reached without TLS: others on the way can read what is sent");
    }
    Ok(())
}

fn read_token(context: &Context, args: &AddPeer) -> Result<Secret, Failure> {
    if let Some(file) = &args.token_file {
        return input::read_file(file).map(Secret::from);
    }
    match args.positional.as_ref().or(args.named.as_ref()) {
        Some(given) if given.reveal() != "-" => {
            context.printer.warn(
                "others on this machine can see the token in the list of processes; `peer add -` reads it from stdin",
            );
            Ok(given.clone())
        }
        _ => input::read_stdin().map(Secret::from),
    }
}

fn show(context: &Context, args: &Shown) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Raw {
        id: PeerId,
        raw: Secret,
    }
    let peer = id(&args.which)?;
    if args.print_raw_token {
        let token = context.talk(async |daemon| daemon.call(&ShowPeerToken { peer }).await)?;
        return context.printer.value(token.raw.clone().reveal(), &Raw { id: peer, raw: token.raw });
    }
    let peer = context.talk(async |daemon| daemon.call(&ShowPeer { peer }).await)?;
    context.printer.record(&peer)
}

fn set_address(context: &Context, args: SetAddress) -> Result<(), Failure> {
    let peer = ids::parse(&args.peer, "peer", "peer list")?;
    let call = SetPeerAddress { peer, addresses: args.addresses };
    let peer = context.talk(async |daemon| daemon.call(&call).await)?;
    context.printer.record(&peer)
}

fn remove(context: &Context, args: &Ended) -> Result<(), Failure> {
    let call = RemovePeer { peer: id(&args.which)?, dry_run: args.dry_run };
    if !args.dry_run {
        context.confirm(&format!("forget the peer {}, and end the subscriptions held there", call.peer))?;
    }
    let removed = context.talk(async |daemon| daemon.call(&call).await)?;
    context.end(&removed, args.dry_run)
}

fn id(which: &Which) -> Result<PeerId, Failure> {
    ids::parse(which.id(), "peer", "peer list")
}
