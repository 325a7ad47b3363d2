import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { kubeVersion } from '../../config/agent-config.js';
import { parseNetDev } from '../../../base/net-dev.js';
import { berthVersion } from '../version.js';
import { GaugeMetric, type Accumulator, type Labels } from './accumulators.js';

const one = (value: number, labels: Labels = {}): { labels: Labels; value: number }[] => [{ labels, value }];

/** The process itself, and which one it is. */
export function processGauges(): Accumulator[] {
  const cpu = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  };
  const startedAt = Date.now() / 1000 - process.uptime();
  const counter = (name: string, help: string, read: () => number): Accumulator => ({
    snapshot: () => ({ name, help, type: 'counter', values: [{ metricName: name, labels: {}, value: read() }] }),
  });
  const gauge = (name: string, help: string, read: () => number): GaugeMetric =>
    new GaugeMetric(name, help, () => one(read()));
  return [
    counter('process_cpu_seconds_total', 'CPU time of the agent.', cpu),
    gauge('process_resident_memory_bytes', 'Memory of the agent.', () => process.memoryUsage.rss()),
    counter('process_network_receive_bytes_total', 'Number of bytes received by the process over the network.', () =>
      networkBytes('rxBytes'),
    ),
    counter('process_network_transmit_bytes_total', 'Number of bytes sent by the process over the network.', () =>
      networkBytes('txBytes'),
    ),
    gauge('process_virtual_memory_max_bytes', 'Maximum amount of virtual memory available in bytes.', () =>
      maxAddressSpace(),
    ),
    gauge('process_virtual_memory_bytes', 'Address space of the agent.', () => virtualBytes()),
    gauge('process_start_time_seconds', 'When the agent started.', () => startedAt),
    gauge('process_open_fds', 'Open files of the agent.', () => readdirSync('/proc/self/fd').length),
    gauge('process_max_fds', 'Files the agent may open.', () => maxFiles()),
    gauge('kubelet_cgroup_version', 'cgroup version on the hosts.', () =>
      existsSync('/sys/fs/cgroup/cgroup.controllers') ? 2 : 1,
    ),
    // The cgroups are read here, under the names that cAdvisor gives them, and not asked of the runtime.
    new GaugeMetric('kubelet_metrics_provider', 'Where the statistics of containers are from.', () =>
      one(1, { provider: 'cadvisor' }),
    ),
    new GaugeMetric('kubernetes_build_info', 'Which version this is.', () => one(1, buildInfo())),
  ];
}

/** The labels of every Kubernetes component; those about Go and git are what this is made of instead. */
function buildInfo(): Labels {
  const [major = '', minor = ''] = kubeVersion.split('.');
  return {
    build_date: '',
    compiler: 'node',
    git_commit: '',
    git_tree_state: 'clean',
    git_version: `v${kubeVersion}.0+berth.${berthVersion}`,
    go_version: '',
    major,
    minor,
    platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
  };
}

function virtualBytes(): number {
  const pages = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]);
  return pages * 4096;
}

function maxFiles(): number {
  const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}

/** As monitoring has it of every process: what its network namespace carried. */
function networkBytes(direction: 'rxBytes' | 'txBytes'): number {
  return parseNetDev(readFileSync('/proc/self/net/dev', 'utf8')).reduce((sum, each) => sum + each[direction], 0);
}

function maxAddressSpace(): number {
  const soft = /^Max address space\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  // What none is written as.
  return soft === undefined ? 2 ** 64 : Number(soft);
}
