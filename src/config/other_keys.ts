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
  harmless("agent.check_out_of_pods"), // a node that is full says so itself, at once
  harmless("agent.dns"), // the target's resolv.conf says how
  harmless("agent.metrics"), // there are none
  harmless("agent.exclude_from_mesh"), // the agent listens on loopback only, which no mesh touches
  // All of these are about incoming traffic.
  later("agent.flush_connections"),
  harmless("agent.external_ip_fix"),
  harmless("agent.nftables"), // always nftables
  later("agent.inject_headers", false),
  later("agent.override_cache_control"),
  later("agent.max_body_buffer_size"),
  later("agent.max_body_buffer_timeout"),
  later("agent.http_detection_timeout"),
  harmless("agent.clean_iptables_on_start"), // there is nothing to clean: a guard does it
  harmless("agent.jaq_time_limit"),
];

const FEATURES = [
  later("feature.network.ipv6", true),
  later("feature.network.incoming.http_filter"),
  later("feature.network.incoming.port_mapping"),
  later("feature.network.incoming.listen_ports"),
  later("feature.network.incoming.ignore_ports"),
  later("feature.network.incoming.ports"),
  later("feature.network.incoming.ignore_localhost"),
  operator("feature.network.incoming.on_concurrent_steal"),
  operator("feature.network.incoming.tls_delivery"),
  operator("feature.network.incoming.https_delivery"),
  later("feature.network.outgoing.unix_streams"),
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
  harmless("sip_binaries"),
  harmless("skip_sip"),
  harmless("baggage"),
  harmless("traceparent"),
  operator("operator", false),
  operator("multi_cluster", false),
  operator("profile"),
  operator("ci"),
  later("startup_retry"),
  ...AGENT,
  ...FEATURES,
  later("internal_proxy"),
  later("external_proxy"),
  later("container"),
  later("experimental"),
];
