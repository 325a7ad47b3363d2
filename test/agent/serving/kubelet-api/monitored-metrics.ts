/**
 * What the rules, alerts and dashboards of kube-prometheus (kubernetes-mixin) read of a kubelet, by path, and the labels by which they
 * choose, join and group it. Not asked of a kubelet of today: `kubelet_node_config_error` and `storage_operation_errors_total`, which
 * are gone, and `go_goroutines` of what is no Go. Present once there is something to tell: `kubelet_evictions` (eviction_signal),
 * `kubelet_runtime_operations_errors_total` (operation_type), `kubelet_pleg_relist_interval_seconds` (after a second look at all pods).
 */
const monitoredMetrics: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  metrics: {
    kubelet_node_name: 'node',
    kubelet_running_pods: '',
    kubelet_running_containers: 'container_state',
    kubelet_pleg_relist_duration_seconds_bucket: 'le',
    kubelet_pleg_relist_duration_seconds_count: '',
    kubelet_pod_worker_duration_seconds_bucket: 'le operation_type',
    kubelet_pod_worker_duration_seconds_count: '',
    kubelet_pod_start_duration_seconds_bucket: 'le',
    kubelet_pod_start_duration_seconds_count: '',
    kubelet_cgroup_manager_duration_seconds_bucket: 'le operation_type',
    kubelet_cgroup_manager_duration_seconds_count: 'operation_type',
    kubelet_runtime_operations_total: 'operation_type',
    kubelet_runtime_operations_duration_seconds_bucket: 'le operation_type',
    kubelet_certificate_manager_client_ttl_seconds: '',
    kubelet_certificate_manager_client_expiration_renew_errors: '',
    kubelet_certificate_manager_server_ttl_seconds: '',
    kubelet_server_expiration_renew_errors: '',
    ...Object.fromEntries(
      ['available_bytes', 'capacity_bytes', 'used_bytes', 'inodes', 'inodes_free', 'inodes_used'].map((what) => [
        `kubelet_volume_stats_${what}`,
        'namespace persistentvolumeclaim',
      ]),
    ),
    volume_manager_total_volumes: 'state',
    storage_operation_duration_seconds_bucket: 'le operation_name volume_plugin',
    storage_operation_duration_seconds_count: 'operation_name volume_plugin',
    rest_client_requests_total: 'code',
    rest_client_request_duration_seconds_bucket: 'le verb',
    process_resident_memory_bytes: '',
    process_cpu_seconds_total: '',
    kubernetes_build_info: 'git_version',
  },
  'metrics/cadvisor': {
    container_cpu_usage_seconds_total: 'namespace pod container image',
    container_cpu_cfs_periods_total: 'namespace pod container',
    container_cpu_cfs_throttled_periods_total: 'namespace pod container',
    container_memory_working_set_bytes: 'namespace pod container image',
    container_memory_rss: 'namespace pod container image',
    container_memory_cache: 'namespace pod container image',
    container_memory_swap: 'namespace pod container image',
    ...Object.fromEntries(
      ['bytes', 'packets', 'packets_dropped'].flatMap((what) =>
        ['receive', 'transmit'].map((way) => [`container_network_${way}_${what}_total`, 'namespace pod interface']),
      ),
    ),
  },
  'metrics/probes': { prober_probe_total: 'probe_type result' },
  'metrics/slis': { kubernetes_healthcheck: 'name type', kubernetes_healthchecks_total: 'name type status' },
};

interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Every series of Prometheus' text format. */
function seriesIn(text: string): readonly Series[] {
  return text.split('\n').flatMap((line) => {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+/.exec(line);
    if (!match) return [];
    const labels = [...(match[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
    return [
      { name: match[1] ?? '', labels: Object.fromEntries(labels.map(([, key, value]) => [key, value])) as never },
    ];
  });
}

/** Which of them, with which label, the answers lack; `read` gets the text of a path. */
export async function missingMetrics(read: (path: string) => Promise<string>): Promise<string[]> {
  const lines: string[] = [];
  for (const [path, needed] of Object.entries(monitoredMetrics)) {
    const series = seriesIn(await read(path));
    for (const [metric, labels] of Object.entries(needed)) {
      const names = labels.split(' ').filter((each) => each !== '');
      const has = series.some((each) => each.name === metric && names.every((label) => each.labels[label]));
      if (!has) lines.push(`${path}: ${metric}{${labels}}`);
    }
    if (path !== 'metrics') continue;
    for (const state of ['actual_state_of_world', 'desired_state_of_world'])
      if (!series.some(({ labels }) => labels['state'] === state)) lines.push(`volumes of ${state}`);
  }
  return lines;
}
