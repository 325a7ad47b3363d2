import { cpus, hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { defaultConfig, type AgentConfig } from '../../config/agent-config.js';
import { logLevels } from '../log-level.js';
import { openLogger } from '../open-logger.js';
import { runUntilStopped } from '../run-until-stopped.js';

const flagsSchema = z
  .object({
    manifests: z.string().optional(),
    manifestUrl: z.url({ protocol: /^https?$/, error: 'expected an http or https URL' }).optional(),
    nodeName: z.string().optional(),
    rootDir: z.string().optional(),
    stateDir: z.string().optional(),
    runDir: z.string().optional(),
    podLogsDir: z.string().optional(),
    cniConfDir: z.string().optional(),
    cgroupRoot: z.string().optional(),
    insecureRegistry: z.array(z.string()).optional(),
    healthzPort: z.int().min(0).max(65_535).optional(),
    logLevel: z.enum(logLevels),
  })
  .strict();

export type AgentFlags = z.infer<typeof flagsSchema>;

export async function runAgent(rawFlags: Record<string, unknown>): Promise<number> {
  const parsed = flagsSchema.safeParse(rawFlags);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues)
      process.stderr.write(`berth: --${flagName(path)}: ${message}\n`);
    return 2;
  }
  return await runUntilStopped(configOf(parsed.data), { log: await openLogger(parsed.data.logLevel) });
}

const flagName = (path: readonly PropertyKey[]): string =>
  String(path[0] ?? '').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function configOf(flags: AgentFlags): AgentConfig {
  const base = defaultConfig(flags.nodeName ?? hostname().toLowerCase(), cpus().length);
  const runDir = flags.runDir ?? base.paths.runDir;
  return {
    ...base,
    paths: {
      ...base.paths,
      rootDir: flags.rootDir ?? base.paths.rootDir,
      stateDir: flags.stateDir ?? base.paths.stateDir,
      runDir,
      podLogsDir: flags.podLogsDir ?? base.paths.podLogsDir,
      containerLogsDir: flags.podLogsDir === undefined ? base.paths.containerLogsDir : undefined,
      cniConfDir: flags.cniConfDir ?? base.paths.cniConfDir,
    },
    sources: { ...base.sources, manifestPath: flags.manifests, manifestUrl: flags.manifestUrl },
    runtime: { ...base.runtime, insecureRegistries: flags.insecureRegistry ?? [] },
    cgroups: { ...base.cgroups, root: flags.cgroupRoot ?? base.cgroups.root },
    serving: {
      ...base.serving,
      healthzPort: flags.healthzPort ?? base.serving.healthzPort,
      socketPath: join(runDir, 'berth.sock'),
    },
  };
}
