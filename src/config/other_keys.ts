/**
 * Keys of the reference tool's configuration file that have no option here, and why: a file that says one is refused with
 * a sentence, unless what it says is what happens anyway.
 */

/** "operator": for the paid operator. "harmless": says nothing that could be done here. */
export type Why = "operator" | "harmless";

export interface OtherKey {
  readonly key: string;
  readonly why: Why;
  /** Values that ask for nothing but what happens anyway. */
  readonly fine?: readonly unknown[];
}

const operator = (key: string, ...fine: unknown[]): OtherKey => ({ key, why: "operator", fine });
const harmless = (key: string): OtherKey => ({ key, why: "harmless" });

const AGENT = [
  harmless("agent.check_out_of_pods"), // a node that is full says so itself, at once
  harmless("agent.dns"), // the target's resolv.conf says how
  harmless("agent.metrics"), // there are none
  harmless("agent.exclude_from_mesh"), // the agent listens on loopback only, which no mesh touches
  // All of these are about incoming traffic.
  harmless("agent.external_ip_fix"),
  harmless("agent.nftables"), // always nftables
  harmless("agent.clean_iptables_on_start"), // there is nothing to clean: a guard does it
];

const FEATURES = [
  operator("feature.network.incoming.on_concurrent_steal"),
  operator("feature.network.incoming.tls_delivery"),
  operator("feature.network.incoming.https_delivery"),
  operator("feature.copy_target", false),
  operator("feature.split_queues"),
  operator("feature.db_branches"),
  operator("feature.preview"),
];

/** How the reference tool's own parts work; here they work otherwise, or are not needed. */
const INTERNALS = [
  harmless("internal_proxy.socket_timeout"),
  harmless("internal_proxy.ping_interval"),
  harmless("internal_proxy.process_logging_interval"),
  harmless("external_proxy"), // there is no container mode
  harmless("container"),
  harmless("experimental.tcp_ping4_mock"),
  harmless("experimental.enable_exec_hooks_linux"),
  harmless("experimental.use_dev_null"),
  harmless("experimental.idle_local_http_connection_timeout"),
  harmless("experimental.non_blocking_tcp_connect"),
  harmless("experimental.dlopen_cgo"),
  harmless("experimental.go_asmcgocall"),
  harmless("experimental.guard_std_fds"),
  harmless("experimental.latency"),
  harmless("experimental.browser_extension_config"), // the header of a filter can be set in any such extension
  harmless("experimental.applev"),
  harmless("experimental.trust_any_certificate"),
  harmless("experimental.disable_reuseaddr"),
  harmless("experimental.ignore_system_proxy_config"),
  harmless("experimental.sip_log_destination"),
  harmless("experimental.sip_utils"),
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
  harmless("startup_retry"), // what can be tried again, is
  ...AGENT,
  ...FEATURES,
  ...INTERNALS,
];
