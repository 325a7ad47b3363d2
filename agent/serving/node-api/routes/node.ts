import type { Agent } from '../../../agent.js';
import type { NodeCondition, Quantity } from '../../../api/index.js';
import { kubeVersion, type AgentConfig } from '../../../config/agent-config.js';
import { berthVersion } from '../../version.js';
import type { List, NodeConditionView, NodeView, PluginRow, PressureView } from '../contract.js';
import { flag, value, type CallRoute } from '../route.js';

export function nodeRoutes(agent: Agent): CallRoute[] {
  return [
    { method: 'GET', path: '/v1/node', handle: async (_request, signal) => value(await nodeView(agent, signal)) },
    { method: 'GET', path: '/v1/config', handle: () => value(shownConfig(agent.config)) },
    {
      method: 'GET',
      path: '/v1/plugins',
      handle: async (_request, signal) =>
        value({ items: [...(await plugins(agent, signal)), ...agent.plugins()] } satisfies List<PluginRow>),
    },
    {
      method: 'GET',
      path: '/v1/pressure',
      handle: async (_request, signal) => value({ text: await agent.pressureWhatIf(signal) } satisfies PressureView),
    },
    {
      method: 'GET',
      path: '/v1/stats/summary',
      handle: async ({ query }) =>
        value(await agent.stats.summary({ onlyCpuAndMemory: flag(query, 'onlyCpuAndMemory') })),
    },
    { method: 'GET', path: '/healthz', handle: () => value({ status: 'ok' }) },
  ];
}

/** Headers and environments may hold what lets others in. */
function shownConfig(config: AgentConfig): object {
  const { sources, images, kubelet } = config;
  const hidden = (values: Readonly<Record<string, unknown>>): Record<string, string> =>
    Object.fromEntries(Object.keys(values).map((name): [string, string] => [name, '***']));
  const credentialProviders = (images?.credentialProviders ?? []).map((provider) => {
    return { ...provider, env: hidden(provider.env) };
  });
  return {
    ...config,
    sources: { ...sources, manifestHeaders: hidden(sources.manifestHeaders) },
    ...(images && { images: { ...images, credentialProviders } }),
    ...(kubelet && { kubelet: { ...kubelet, staticPodURLHeader: hidden(kubelet.staticPodURLHeader) } }),
  };
}

async function nodeView(agent: Agent, signal: AbortSignal): Promise<NodeView> {
  const { host, config, runtimeHealth, capacity, allocatable } = agent;
  const { runtimeName = 'unknown', runtimeVersion = '' } = await agent.runtime.runtime.version({}, signal).catch(() => {
    signal.throwIfAborted();
    return { runtimeName: 'unknown', runtimeVersion: '' };
  });
  const { ready, message, network } = runtimeHealth;
  const pods = agent.pods();
  return {
    name: config.nodeName,
    version: berthVersion,
    kubernetesVersion: kubeVersion,
    startedAt: agent.startedAt,
    pid: process.pid,
    controlPlane: agent.controlPlane.description,
    kernel: host.kernel,
    osImage: host.osImage,
    architecture: host.architecture,
    addresses: host.addresses,
    capacity: amounts(capacity),
    allocatable: amounts(allocatable),
    runtime: { name: runtimeName, version: runtimeVersion },
    conditions: [
      ...agent.conditions.map(conditionView),
      { type: 'RuntimeReady', status: ready, message },
      { type: 'NetworkReady', status: network.ready, message: network.message },
      ...clusterCondition(agent),
    ],
    pods: { total: pods.length, running: pods.filter(({ status }) => status?.phase === 'Running').length },
  };
}

const conditionView = ({
  type,
  status,
  reason,
  message = '',
  lastTransitionTime,
}: NodeCondition): NodeConditionView => {
  return { type, status: status === 'True', reason, message, lastTransitionTime };
};

const amounts = (list: Readonly<Record<string, Quantity>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(list).map(([name, amount]) => [name, String(amount)]));

/** Absent on a machine without a cluster. */
function clusterCondition(agent: Agent): NodeView['conditions'] {
  if (!agent.config.cluster) return [];
  const problems = agent.clusterProblems();
  return [{ type: 'ClusterReachable', status: problems.length === 0, message: problems.join('; ') }];
}

async function plugins(agent: Agent, signal: AbortSignal): Promise<PluginRow[]> {
  const { runtime, runtimeHealth, cni } = agent;
  const { runtimeName = 'unknown', runtimeVersion = '' } = await runtime.runtime.version({}, signal);
  const rows: PluginRow[] = [
    {
      interface: 'cri',
      name: runtimeName,
      version: runtimeVersion,
      ready: runtimeHealth.ready,
      message: runtimeHealth.message,
    },
  ];
  if (!cni) return rows;
  const state = cni.configuration;
  const status = await cni.status(signal);
  if (state.kind !== 'ready') {
    rows.push({ interface: 'cni', name: '', version: '', ready: false, message: state.reason });
    return rows;
  }
  for (const { name, file, plugins: programs } of state.networks) {
    const isDefault = name === state.defaultNetwork;
    rows.push({
      interface: 'cni',
      name,
      version: isDefault && status.ready ? status.version : '',
      ready: isDefault ? status.ready : true,
      message:
        isDefault && !status.ready
          ? status.reason
          : `${programs.join(', ')} (${file})${isDefault ? '' : ', not used: only the first network is'}`,
    });
  }
  for (const { file, reason } of state.problems)
    rows.push({ interface: 'cni', name: file, version: '', ready: false, message: reason });
  return rows;
}
