/** The rows of the table of options that say which ports and which HTTP requests come in (options.ts). */
import type { KeyDecl } from "./options.ts";

const PREFIX = "feature.network.incoming";

export type IncomingKey =
  | `feature.network.incoming.${
    | "http_filter.header_filter"
    | "http_filter.header_filter_jq"
    | "http_filter.path_filter"
    | "http_filter.method_filter"
    | "http_filter.body_filter"
    | "http_filter.all_of"
    | "http_filter.any_of"
    | "http_filter.ports"
    | "port_mapping"
    | "listen_ports"
    | "ignore_ports"
    | "ports"
    | "ignore_localhost"}`
  | "agent.flush_connections"
  | "agent.max_body_buffer_size"
  | "agent.max_body_buffer_timeout"
  | "agent.jaq_time_limit"
  | "agent.http_detection_timeout"
  | "agent.inject_headers"
  | "agent.override_cache_control";

const group = "What is the target's";

export const INCOMING_FILE_OPTIONS: readonly KeyDecl[] = [
  {
    key: `${PREFIX}.http_filter.header_filter`,
    kind: "pattern",
    env: "MIRRORD_HTTP_HEADER_FILTER",
    doc:
      'Only HTTP requests (HTTP/1 and HTTP/2, so gRPC calls too) with a header "Name: value" that this matches, whatever the case',
    group,
  },
  {
    key: `${PREFIX}.http_filter.header_filter_jq`,
    kind: "text",
    env: "MIRRORD_HTTP_HEADER_FILTER_JQ",
    doc:
      'Only HTTP requests with a header that makes this jq program give true. It gets each header by itself, as the string "name: ' +
      'value" with its name in lower case; an error is no match',
    group,
  },
  {
    key: `${PREFIX}.http_filter.path_filter`,
    kind: "pattern",
    env: "MIRRORD_HTTP_PATH_FILTER",
    doc: "Only HTTP requests whose path, without or with its query, this matches",
    group,
  },
  {
    key: `${PREFIX}.http_filter.method_filter`,
    kind: "pattern",
    env: "MIRRORD_HTTP_METHOD_FILTER",
    doc: "Only HTTP requests whose method this matches",
    group,
  },
  {
    key: `${PREFIX}.http_filter.body_filter`,
    kind: "object",
    doc:
      "Only HTTP requests with a body in JSON in which a JSONPath (without filter expressions) leads to something that " +
      'a regular expression matches: { "body": "json", "query": JSONPATH, "matches": REGEX }',
    group,
  },
  {
    key: `${PREFIX}.http_filter.all_of`,
    kind: "httpFilters",
    doc:
      "Only HTTP requests that all of these match: objects with one of header, header_jq, path, method, or of a body",
    group,
  },
  {
    key: `${PREFIX}.http_filter.any_of`,
    kind: "httpFilters",
    doc:
      "Only HTTP requests that any of these matches: objects with one of header, header_jq, path, method, or of a body",
    group,
  },
  {
    key: `${PREFIX}.http_filter.ports`,
    kind: "ports",
    env: "MIRRORD_HTTP_FILTER_PORTS",
    doc: "The filter is for these ports; other connections are taken unfiltered",
    default: "all",
    group,
  },
  {
    key: `${PREFIX}.port_mapping`,
    kind: "portPairs",
    doc: "Which port of the program stands in for which port of the target: [[program, target], …]",
    group,
  },
  {
    key: `${PREFIX}.listen_ports`,
    kind: "portPairs",
    doc: "Which port is bound on this machine for which port that the program asks for: [[asked, bound], …]",
    group,
  },
  {
    key: `${PREFIX}.ignore_ports`,
    kind: "ports",
    doc: "Ports of the program that stay local",
    group,
  },
  {
    key: `${PREFIX}.ports`,
    kind: "ports",
    doc: "The only ports of the program that do not stay local; not together with ignore_ports",
    default: "all",
    group,
  },
  {
    key: `${PREFIX}.ignore_localhost`,
    kind: "boolean",
    doc: "Whether what the program listens on 127.0.0.0/8 or ::1 stays local",
    default: "false",
    group,
  },
  {
    key: "agent.flush_connections",
    kind: "boolean",
    env: "MIRRORD_AGENT_STEALER_FLUSH_CONNECTIONS",
    doc: "Whether connections that exist are reset when their port is stolen, so that their peers come anew",
    default: "true",
    group: "Agent",
  },
  {
    key: "agent.max_body_buffer_size",
    kind: "bufferBytes",
    doc: "The longest body that a filter of bodies looks at; longer ones do not match",
    default: "65535",
    group: "Agent",
  },
  {
    key: "agent.max_body_buffer_timeout",
    kind: "milliseconds",
    doc: "How many milliseconds a filter of bodies waits for the whole of one; later ones do not match",
    default: "1000",
    group: "Agent",
  },
  {
    key: "agent.jaq_time_limit",
    kind: "seconds",
    doc: "How many seconds a jq program may think about the headers of a request; then it does not match",
    default: "1",
    group: "Agent",
  },
  {
    key: "agent.http_detection_timeout",
    kind: "seconds",
    env: "MIRRORD_AGENT_HTTP_DETECTION_TIMEOUT",
    doc:
      "How many seconds a connection to a port with a filter may take to say whether it is HTTP; then it is the target's",
    default: "2",
    group: "Agent",
  },
  {
    key: "agent.inject_headers",
    kind: "boolean",
    doc:
      "Whether HTTP answers on ports with a filter say which way they came: Mirrord-Agent: forwarded-to-client, or " +
      "passed-through. Requests that nobody wants are slower then",
    default: "false",
    group: "Agent",
  },
  {
    key: "agent.override_cache_control",
    kind: "boolean",
    doc:
      "Whether the program's answers to requests that a filter took say Cache-Control: no-cache, no-store, must-revalidate, " +
      "so that nobody is given them later in place of the target's",
    default: "true",
    group: "Agent",
  },
];
