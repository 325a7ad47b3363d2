import { cpus, hostname } from 'node:os';
import { join } from 'node:path';
import { defaultConfig, type AgentConfig } from '../config/agent-config.js';

/** The demo keeps to itself: nothing of it mixes with an agent or a kubelet that is meant to stay. */
export const demo = {
  stateDir: '/var/lib/berth-demo',
  runDir: '/run/berth-demo',
  cgroup: 'berth-demo',
  bridge: 'berth0',
  subnet: '10.87.0.0/16',
} as const;

export const demoSubdirs = {
  cni: join(demo.stateDir, 'cni', 'net.d'),
  addresses: join(demo.stateDir, 'cni', 'addresses'),
} as const;

export function demoConfig(manifests: string | undefined): AgentConfig {
  const base = defaultConfig(hostname().toLowerCase(), cpus().length);
  return {
    ...base,
    paths: {
      ...base.paths,
      rootDir: join(demo.stateDir, 'kubelet'),
      stateDir: demo.stateDir,
      runDir: demo.runDir,
      podLogsDir: join(demo.stateDir, 'logs'),
      containerLogsDir: undefined,
      cniConfDir: demoSubdirs.cni,
    },
    sources: { ...base.sources, manifestPath: manifests },
    cgroups: { ...base.cgroups, root: `/${demo.cgroup}` },
    serving: { ...base.serving, socketPath: join(demo.runDir, 'berth.sock') },
  };
}
