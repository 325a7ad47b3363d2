import type { AgentPod } from '../../agent.js';
import { isTerminalPhase, volumeSources, type VolumeSourceName } from '../../api/index.js';
import { GaugeMetric } from './accumulators.js';

/** Volume plugins as the kubelet calls them; of a claim only its volume says which one it is. */
const plugins: Readonly<Partial<Record<VolumeSourceName, string>>> = {
  emptyDir: 'empty-dir',
  hostPath: 'host-path',
  downwardAPI: 'downward-api',
  flexVolume: 'flexvolume',
  persistentVolumeClaim: 'persistent-volume-claim',
  ephemeral: 'persistent-volume-claim',
};

/** Volumes that pods are to have, beside those that they have. */
export function desiredVolumes(pods: () => readonly AgentPod[]): GaugeMetric {
  return new GaugeMetric('volume_manager_total_volumes', 'Number of volumes in Volume Manager', () => {
    const counts = new Map<string, number>();
    for (const { desired, status } of pods()) {
      if (!desired || desired.termination || isTerminalPhase(status?.phase)) continue;
      for (const volume of desired.pod.spec?.volumes ?? []) {
        const [source] = volumeSources(volume);
        if (source === undefined) continue;
        const plugin = `kubernetes.io/${plugins[source] ?? source.toLowerCase()}`;
        counts.set(plugin, (counts.get(plugin) ?? 0) + 1);
      }
    }
    return [...counts].map(([plugin_name, value]) => {
      return { labels: { plugin_name, state: 'desired_state_of_world' }, value };
    });
  });
}
