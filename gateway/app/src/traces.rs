//! Traces to a collector over OTLP, where one is configured and the program was built with the feature
//! `otlp`. Spans wait in a bounded queue of their own and are dropped when it is full: no payment waits
//! for a collector.

#[cfg(feature = "otlp")]
use std::time::Duration;

use dukou_domain::TenantId;
use tracing::Span;

/// Where spans go, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSettings {
    /// The collector's base address; `/v1/traces` is added.
    pub endpoint: String,
    /// Of a hundred traces that begin here.
    pub sample_percent: u32,
}

/// Whether this program can send any.
pub const BUILT_IN: bool = cfg!(feature = "otlp");

/// How long the last spans may take at the end of the program.
#[cfg(feature = "otlp")]
const LAST_SPANS: Duration = Duration::from_secs(2);

#[cfg(feature = "otlp")]
mod export {
    use std::time::Duration;

    use opentelemetry::trace::{
        SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
    };
    use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider};
    use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::registry::LookupSpan;

    use super::{Span, TenantId, TraceSettings};

    /// Spans that may wait; more are dropped.
    const WAITING: usize = 4096;
    const BATCH: usize = 512;
    /// How long the collector may take.
    const PATIENCE: Duration = Duration::from_secs(5);
    /// The spans of requests.
    const REQUESTS: &str = "dukou_http::middleware";

    /// # Errors
    /// Why nothing can be sent.
    pub fn provider(settings: &TraceSettings) -> anyhow::Result<SdkTracerProvider> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{}/v1/traces", settings.endpoint.trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .build()?;
        let limits = BatchConfigBuilder::default().with_max_queue_size(WAITING).with_max_export_batch_size(BATCH);
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(limits.build()).build();
        #[allow(clippy::float_arithmetic, reason = "a share of traces is no money")]
        let share = f64::from(settings.sample_percent) / 100.0;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share)));
        let resource = Resource::builder().with_service_name("dukou").build();
        Ok(SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(sampler)
            .with_resource(resource)
            .build())
    }

    /// What hears of requests and of what is done for payments, and of nothing else.
    pub fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'s> LookupSpan<'s> + Send + Sync,
    {
        let filter = Targets::new()
            .with_target(REQUESTS, tracing::Level::INFO)
            .with_target(dukou_engine::TRACE_TARGET, tracing::Level::DEBUG);
        let layer: OpenTelemetryLayer<S, SdkTracer> =
            tracing_opentelemetry::layer().with_tracer(provider.tracer("dukou"));
        layer.with_filter(filter)
    }

    /// The place to which every span about a payment is linked, the same on all instances: 16 bytes of a
    /// hash over tenant and number for the trace, 8 for the span.
    fn place(tenant: &str, out_trade_no: &str) -> SpanContext {
        let hash =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, format!("{tenant}\n{out_trade_no}").as_bytes());
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&hash.as_ref()[..16]);
        span.copy_from_slice(&hash.as_ref()[16..24]);
        let (trace, span) = (TraceId::from_bytes(trace), SpanId::from_bytes(span));
        SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::default())
    }

    pub fn link(span: &Span, tenant: &TenantId, out_trade_no: &str) {
        span.add_link(place(tenant.as_str(), out_trade_no));
    }

    /// `00-<trace>-<span>-<flags>` (W3C Trace Context); anything else is no parent.
    pub fn parent(span: &Span, traceparent: &str) {
        let mut parts = traceparent.trim().split('-');
        let (Some("00"), Some(trace), Some(id), Some(flags), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return;
        };
        let (Ok(trace), Ok(id), Ok(flags)) =
            (TraceId::from_hex(trace), SpanId::from_hex(id), u8::from_str_radix(flags, 16))
        else {
            return;
        };
        let theirs = SpanContext::new(trace, id, TraceFlags::new(flags), true, TraceState::default());
        if theirs.is_valid() {
            // An error means that the span has begun, or that nobody collects it.
            let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(theirs));
        }
    }

    /// The present span, as the next service is told of it.
    pub fn traceparent() -> Option<String> {
        let context = Span::current().context();
        let span = context.span();
        let ours = span.span_context();
        let flags = ours.trace_flags().to_u8();
        ours.is_valid().then(|| format!("00-{}-{}-{flags:02x}", ours.trace_id(), ours.span_id()))
    }
}

/// What is collected, until the program ends.
pub struct Traces {
    #[cfg(feature = "otlp")]
    provider: opentelemetry_sdk::trace::SdkTracerProvider,
}

impl Traces {
    /// `None` where nobody collects, or this program cannot send.
    ///
    /// # Errors
    /// Why nothing can be sent.
    pub fn start(settings: Option<&TraceSettings>) -> anyhow::Result<Option<Traces>> {
        #[cfg(feature = "otlp")]
        if let Some(settings) = settings {
            return Ok(Some(Traces { provider: export::provider(settings)? }));
        }
        let _ = settings;
        Ok(None)
    }

    /// What the log's subscriber is made of besides lines.
    #[cfg(feature = "otlp")]
    pub fn layer<S>(&self) -> impl tracing_subscriber::Layer<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'s> tracing_subscriber::registry::LookupSpan<'s> + Send + Sync,
    {
        export::layer(&self.provider)
    }
}

#[cfg(feature = "otlp")]
impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(LAST_SPANS) {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// Leads from a span to the payment it is about.
pub fn link(span: &Span, tenant: &TenantId, out_trade_no: &str) {
    #[cfg(feature = "otlp")]
    export::link(span, tenant, out_trade_no);
    #[cfg(not(feature = "otlp"))]
    let _ = (span, tenant, out_trade_no);
}

/// Makes a request part of its caller's trace.
pub fn parent(span: &Span, traceparent: &str) {
    #[cfg(feature = "otlp")]
    export::parent(span, traceparent);
    #[cfg(not(feature = "otlp"))]
    let _ = (span, traceparent);
}

/// The header by which the next service goes on with the trace, where there is one.
pub fn traceparent() -> Option<String> {
    #[cfg(feature = "otlp")]
    return export::traceparent();
    #[cfg(not(feature = "otlp"))]
    None
}
