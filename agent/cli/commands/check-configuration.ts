import { cpus, hostname } from 'node:os';
import type { CheckGroup, Finding } from '../../check/index.js';
import type { AgentFlags } from '../../config/agent-flags.js';
import { ConfigError } from '../../config/kubelet/index.js';
import { loadConfig } from '../../config/load-config.js';

/** Of the agent's options those that a configuration is made of. */
export type ConfigurationFlags = Omit<AgentFlags, 'runDir' | 'stateDir' | 'cniConfDir'>;

/** What is wrong in a configuration file and in options, and what of them changes nothing; undefined when there are none. */
export async function checkConfiguration(flags: ConfigurationFlags): Promise<CheckGroup | undefined> {
  const { kubelet = {}, ...own } = flags;
  const { config, configDir, imageCredentialProviderConfig, imageCredentialProviderBinDir, ...options } = own;
  const named = [
    ...[config, configDir, imageCredentialProviderConfig, imageCredentialProviderBinDir],
    ...Object.keys(options).map(flagName),
    ...Object.keys(kubelet).map((flag) => `--${flag}`),
  ].filter((each) => each !== undefined);
  if (named.length === 0) return undefined;
  return { title: 'Configuration', findings: await findingsOf(flags, named) };
}

const flagName = (key: string): string => `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

async function findingsOf(given: ConfigurationFlags, named: readonly string[]): Promise<Finding[]> {
  try {
    const { idle } = await loadConfig(given, { hostname: hostname(), cpus: cpus().length });
    const notes = idle.map(({ path, message }): Finding => {
      return { subject: path, level: 'note', found: `has no effect: ${message}`, remedy: [] };
    });
    return [{ subject: named.join(', '), level: 'ok', found: 'understood', remedy: [] }, ...notes];
  } catch (err) {
    if (!(err instanceof ConfigError)) throw err;
    return err.failure.problems.map(({ path, message }) => ({
      subject: path,
      level: 'lack',
      found: message,
      remedy: [],
    }));
  }
}
