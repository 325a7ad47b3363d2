import { Command, Option } from 'commander';
import { addAgentOptions } from '../agent-options.js';
import { addClusterOptions } from '../cluster-options.js';
import type { CriServeFlags } from '../commands/cri-serve.js';
import { addKubeletFlags } from '../kubelet-flag-options.js';
import { logLevels } from '../log-level.js';
import type { Parts } from './program-parts.js';

/** Commands that need no running agent. */
export function addHostCommands({ program, deps }: Parts): void {
  addKubeletFlags(addAgentOptions(program.command('agent').description('run the agent in the foreground'))).action(
    async (flags: Record<string, unknown>) => {
      await deps.alone(async () => (await import('../commands/agent.js')).runAgent(flags));
    },
  );
  program
    .command('demo')
    .description('run the sample manifests in the foreground, with a network and images made for them')
    .option('--samples <path>', 'folder of manifests (default: those that come with berth)')
    .option('--clean', 'end the pods of an earlier demo and remove all it left')
    .option('--log-level <level>', 'debug, info, warn or error', 'warn')
    .action(async (flags: { samples?: string; clean?: boolean; logLevel: string }) => {
      await deps.alone(async () => (await import('../commands/demo.js')).demo(flags));
    });
  program
    .command('cri')
    .description("this machine's container runtime as others see it")
    .command('serve')
    .description('serve a runtime as CRI v1 on a unix socket, for a kubelet, crictl and the like')
    .option('--socket <path>', 'socket to serve on (default: /run/berth/cri.sock)')
    .option('--config <file>', "the agent's configuration file: its folders, OCI runtimes, registries, cgroup driver")
    .option('--config-dir <folder>', 'folder of files that add to it')
    .option('--runtime <runtime>', 'embedded, docker, or unix:///run/containerd/containerd.sock (default: embedded)')
    .option(
      '--oci-runtime <name=path...>',
      'program for a RuntimeClass handler, besides crun and runc; crun=PATH is for pods that name no handler',
    )
    .option(
      '--insecure-registry <host...>',
      'registries that may speak plain HTTP or show any certificate; on the loopback plain HTTP needs no such word',
    )
    .option('--cgroup-driver <driver>', 'cgroupfs or systemd, as the client has it (default: cgroupfs)')
    .option('--state-dir <path>', 'folder for what survives a reboot (default: /var/lib/berth)')
    .option('--run-dir <path>', 'folder for what does not (default: /run/berth)')
    .option('--cni-conf-dir <path>', 'folder of CNI configuration (default: /etc/cni/net.d)')
    .addOption(new Option('--log-level <level>', 'what is logged').choices(logLevels).default('info'))
    .action(async (flags: CriServeFlags) => {
      await deps.alone(async () => (await import('../commands/cri-serve.js')).criServe(flags));
    });
  const checking = program
    .command('check')
    .description('say what this machine lacks to run pods, and how to get it')
    .option('--config <file>', 'also check this configuration file, as given to the agent')
    .option('--config-dir <folder>', 'as given to the agent')
    .option('--image-credential-provider-config <path>', 'as given to the agent')
    .option('--image-credential-provider-bin-dir <folder>', 'as given to the agent')
    .option('-o, --output <format>', 'json or yaml')
    .option('--run-dir <path>', 'as given to the agent')
    .option('--state-dir <path>', 'as given to the agent')
    .option('--cni-conf-dir <path>', 'as given to the agent')
    .action(async (flags: Record<string, unknown>) => {
      await deps.alone(async () => (await import('../commands/check.js')).check(flags));
    });
  // A line made for the agent, such as kubeadm's, can be checked as it is; those that say the same of both are above.
  for (const option of addClusterOptions(new Command()).options)
    if (!checking.options.some(({ long }) => long === option.long)) checking.addOption(option.hideHelp());
  addKubeletFlags(checking);
}
