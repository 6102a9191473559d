/**
 * Keys of the reference tool's configuration file that have no option here, and why: a file that says one is refused with
 * a sentence, unless what it says is what happens anyway.
 */

/** "later": not supported yet. "operator": for the paid operator. "harmless": says nothing that could be done here. */
export type Why = "later" | "operator" | "harmless";

export interface OtherKey {
  readonly key: string;
  readonly why: Why;
  /** Values that ask for nothing but what happens anyway. */
  readonly fine?: readonly unknown[];
}

const later = (key: string, ...fine: unknown[]): OtherKey => ({ key, why: "later", fine });
const operator = (key: string, ...fine: unknown[]): OtherKey => ({ key, why: "operator", fine });
const harmless = (key: string): OtherKey => ({ key, why: "harmless" });

const AGENT = [
  later("agent.log_level"),
  later("agent.json_log", false),
  later("agent.image_pull_policy", "IfNotPresent"),
  later("agent.image_pull_secrets"),
  later("agent.ephemeral", false),
  later("agent.communication_timeout"),
  later("agent.disabled_capabilities"),
  later("agent.tolerations"),
  later("agent.resources"),
  later("agent.check_out_of_pods"),
  later("agent.privileged", false),
  later("agent.dns"),
  later("agent.labels"),
  later("agent.annotations"),
  later("agent.node_selector"),
  later("agent.service_account"),
  later("agent.metrics"),
  later("agent.exclude_from_mesh", false),
  later("agent.disable_mesh_sidecar_injection"),
  later("agent.priority_class"),
  later("agent.security_context"),
  // All of these are about incoming traffic, of which there is none yet.
  later("agent.flush_connections"),
  later("agent.external_ip_fix"),
  later("agent.nftables"),
  later("agent.inject_headers", false),
  later("agent.override_cache_control"),
  later("agent.max_body_buffer_size"),
  later("agent.max_body_buffer_timeout"),
  later("agent.http_detection_timeout"),
  later("agent.clean_iptables_on_start"),
  later("agent.jaq_time_limit"),
];

const FEATURES = [
  later("feature.env.load_from_process", false),
  later("feature.fs.mapping"),
  later("feature.network.ipv6", true),
  later("feature.network.incoming.mode", "off"),
  later("feature.network.incoming.http_filter"),
  later("feature.network.incoming.port_mapping"),
  later("feature.network.incoming.listen_ports"),
  later("feature.network.incoming.ignore_ports"),
  later("feature.network.incoming.ports"),
  later("feature.network.incoming.ignore_localhost"),
  operator("feature.network.incoming.on_concurrent_steal"),
  operator("feature.network.incoming.tls_delivery"),
  operator("feature.network.incoming.https_delivery"),
  later("feature.network.outgoing.udp", false),
  later("feature.network.outgoing.ignore_localhost", false),
  later("feature.network.outgoing.filter"),
  later("feature.network.outgoing.unix_streams"),
  later("feature.network.dns.filter"),
  operator("feature.copy_target", false),
  operator("feature.split_queues"),
  operator("feature.db_branches"),
  operator("feature.preview"),
  later("feature.magic.aws", false),
  later("feature.magic.auto_mount", true),
  later("feature.magic.turbo", false),
];

export const OTHER_KEYS: readonly OtherKey[] = [
  harmless("$schema"),
  harmless("api"),
  harmless("key"),
  harmless("sip_binaries"),
  harmless("skip_sip"),
  harmless("baggage"),
  harmless("traceparent"),
  operator("operator", false),
  operator("multi_cluster", false),
  operator("profile"),
  operator("ci"),
  later("skip_build_tools", false),
  later("skip_extra_build_tools"),
  later("use_proxy", false),
  later("startup_retry"),
  ...AGENT,
  ...FEATURES,
  later("internal_proxy"),
  later("external_proxy"),
  later("container"),
  later("experimental"),
];
