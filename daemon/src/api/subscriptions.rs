use std::sync::Arc;

use coattail::rpc::Service;
use coattail::wire::Method as _;
use coattail::wire::subscriptions::{
    ListSubscriptions, PauseSubscriber, PauseSubscription, ResetSubscriber, ResetSubscription, ResumeSubscriber,
    ResumeSubscription,
};

use crate::audit::Fact;
use crate::parts::Parts;

/// How subscriptions go, and whether they are to: for the owner.
pub(super) fn subscriptions_service(parts: &Arc<Parts>) -> Service {
    Service::new()
        .on(parts, |parts: Arc<Parts>, _, _: ListSubscriptions| async move { parts.subscriptions.list().await })
        .on(parts, |parts: Arc<Parts>, _, request: PauseSubscription| async move {
            let pausing = parts.subscriptions.pause(request.subscription, true).await?;
            parts.audit.record(Fact::allowed(PauseSubscription::NAME).subject(pausing.id));
            Ok(pausing)
        })
        .on(parts, |parts: Arc<Parts>, _, request: ResumeSubscription| async move {
            let pausing = parts.subscriptions.pause(request.subscription, false).await?;
            parts.audit.record(Fact::allowed(ResumeSubscription::NAME).subject(pausing.id));
            Ok(pausing)
        })
        .on(parts, |parts: Arc<Parts>, _, request: PauseSubscriber| async move {
            let pausing = parts.publisher.pause(request.subscription, true).await?;
            parts.audit.record(Fact::allowed(PauseSubscriber::NAME).subject(pausing.id));
            Ok(pausing)
        })
        .on(parts, |parts: Arc<Parts>, _, request: ResumeSubscriber| async move {
            let pausing = parts.publisher.pause(request.subscription, false).await?;
            parts.audit.record(Fact::allowed(ResumeSubscriber::NAME).subject(pausing.id));
            Ok(pausing)
        })
        .on(parts, |parts: Arc<Parts>, _, request: ResetSubscription| async move {
            let is_dry = request.dry_run;
            let resetting = parts.subscriber_resets.reset(request).await?;
            if !is_dry {
                parts.audit.record(Fact::allowed(ResetSubscription::NAME).subject(resetting.id));
            }
            Ok(resetting)
        })
        .on(parts, |parts: Arc<Parts>, _, request: ResetSubscriber| async move {
            let is_dry = request.dry_run;
            let resetting = parts.publisher_resets.reset(request).await?;
            if !is_dry {
                parts.audit.record(Fact::allowed(ResetSubscriber::NAME).subject(resetting.id));
            }
            Ok(resetting)
        })
}
