import { cpus, hostname } from 'node:os';
import { z } from 'zod';
import { ConfigError } from '../../config/kubelet/index.js';
import { loadConfig } from '../../config/load-config.js';
import { tuneEngine } from '../../tune-engine.js';
import { withoutKubeletFlags } from '../kubelet-flag-options.js';
import { logLevels } from '../log-level.js';
import { openLogger } from '../open-logger.js';
import { runUntilStopped } from '../run-until-stopped.js';
import { setUmask } from '../set-umask.js';

const flagsSchema = z
  .object({
    config: z.string().optional(),
    configDir: z.string().optional(),
    kubeconfig: z.string().optional(),
    bootstrapKubeconfig: z.string().optional(),
    certDir: z.string().optional(),
    rotateCertificates: z.boolean().optional(),
    hostnameOverride: z.string().optional(),
    nodeIp: z.string().optional(),
    nodeLabels: z.string().optional(),
    registerWithTaints: z.string().optional(),
    registerNode: z.boolean().optional(),
    providerId: z.string().optional(),
    cloudProvider: z.string().optional(),
    containerRuntimeEndpoint: z.string().optional(),
    seccompDefault: z.boolean().optional(),
    featureGates: z.string().optional(),
    manifests: z.string().optional(),
    manifestUrl: z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }).optional(),
    nodeName: z.string().optional(),
    rootDir: z.string().optional(),
    shareRootDir: z.boolean().optional(),
    stateDir: z.string().optional(),
    runDir: z.string().optional(),
    podLogsDir: z.string().optional(),
    cniConfDir: z.string().optional(),
    cgroupRoot: z.string().optional(),
    imageCredentialProviderConfig: z.string().optional(),
    imageCredentialProviderBinDir: z.string().optional(),
    insecureRegistry: z.array(z.string()).optional(),
    healthzPort: z.int().min(0).max(65_535).optional(),
    logLevel: z.enum(logLevels),
  })
  .strict();

export async function runAgent(rawFlags: Record<string, unknown>): Promise<number> {
  const { kubelet, others } = withoutKubeletFlags(rawFlags);
  const parsed = flagsSchema.safeParse(others);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues)
      process.stderr.write(`berth: --${flagName(path)}: ${message}\n`);
    return 2;
  }
  setUmask();
  tuneEngine();
  const { logLevel, ...flags } = parsed.data;
  try {
    const { config, idle } = await loadConfig({ ...flags, kubelet }, { hostname: hostname(), cpus: cpus().length });
    const log = await openLogger(logLevel);
    for (const { path, message } of idle) log.debug({ setting: path, why: message }, 'setting has no effect');
    return await runUntilStopped(config, { log });
  } catch (err) {
    if (!(err instanceof ConfigError)) throw err;
    process.stderr.write(`berth: ${err.message}\n`);
    return 2;
  }
}

const flagName = (path: readonly PropertyKey[]): string =>
  String(path[0] ?? '').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
