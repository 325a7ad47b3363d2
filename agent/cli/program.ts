import { Command, Option } from 'commander';
import type { CallInterface } from '../../base/call-recorder.js';
import { berthVersion } from '../serving/version.js';
import { addKubeletFlags } from './kubelet-flag-options.js';
import { addClusterOptions } from './cluster-options.js';
import type { CriServeFlags } from './commands/cri-serve.js';
import type { ClientFlags, CommandContext } from './command-context.js';
import {
  allNamespacesOption,
  duration,
  each,
  fieldOption,
  fileOption,
  isTrue,
  namespaceOption,
  outputOption,
  selectorOption,
  socketOption,
  wholeNumber,
} from './common-options.js';
import { examplesOf } from './help-examples.js';
import { logLevels } from './log-level.js';
import type { Completes } from './completion/completes.js';

const interfaces: readonly CallInterface[] = [
  'cni',
  'oci',
  'image',
  'credential-provider',
  'csi',
  'flexvolume',
  'device-plugin',
  'dra',
  'cri',
];

type Run<F> = (flags: F, context: CommandContext) => Promise<number>;

export interface ProgramDeps {
  /** Runs a command of a running agent; sets the exit code. */
  client<F extends ClientFlags>(flags: F, run: Run<F>, interruptible?: boolean): Promise<void>;
  /** Runs a command that needs no agent. */
  alone(run: () => Promise<number>): Promise<void>;
}

interface Parts {
  readonly program: Command;
  readonly deps: ProgramDeps;
  readonly completes: Map<Command, Completes>;
  readonly client: MakeClient;
}

/** The commands in the order of the help, with the names by which each part is asked for. */
const groups: ReadonlyArray<{ readonly names: readonly string[]; readonly add: (parts: Parts) => void }> = [
  { names: ['agent', 'demo', 'cri', 'check'], add: ({ program, deps }) => addHostCommands(program, deps) },
  {
    names: ['get', 'describe', 'why', 'logs', 'events', 'top', 'version', 'plugins', 'trace'],
    add: ({ client, deps }) => addReadingCommands(client, deps),
  },
  { names: ['apply', 'delete', 'pressure', 'retry'], add: ({ client, deps }) => addChangingCommands(client, deps) },
  { names: ['exec', 'attach', 'port-forward'], add: ({ client, deps }) => addStreamCommands(client, deps) },
  { names: ['images'], add: ({ client, deps, completes }) => addImageCommands(client, deps, completes) },
  { names: [], add: ({ program, deps, completes }) => addCompletion(program, deps, completes) },
];

/**
 * The command tree. Each command loads what it needs when it is called: `berth get pods` must not wait for the agent's parts. Given the
 * first word of a command line, only the part of the tree is built that it can mean.
 */
export function buildProgram(
  deps: ProgramDeps,
  word?: string,
): { program: Command; completes: ReadonlyMap<Command, Completes> } {
  const completes = new Map<Command, Completes>();
  const program = new Command('berth')
    .description('Runs pods on this machine: a Kubernetes node agent.')
    .version(berthVersion)
    .showHelpAfterError('(try --help)')
    // What the command line gets wrong ends with 2, whoever finds it.
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
    .enablePositionalOptions()
    .configureHelp({ sortSubcommands: false });
  const client: MakeClient = (name, description, completion) => {
    const command = program.command(name).description(description).addOption(socketOption());
    completes.set(command, completion);
    return command;
  };
  const meant = groups.filter(({ names }) => names.includes(word ?? ''));
  for (const { add } of meant.length > 0 ? meant : groups) add({ program, deps, completes, client });
  for (const command of program.commands) command.addHelpText('after', () => examplesOf(command.name()));
  return { program, completes };
}

type MakeClient = (name: string, description: string, completion?: Completes) => Command;

export function addAgentOptions(command: Command): Command {
  return addClusterOptions(command)
    .option('--manifests <path>', 'folder or file of manifests to run')
    .option('--manifest-url <url>', 'URL of manifests to run')
    .option('--node-name <name>', 'name of this node (default: the host name)')
    .option('--root-dir <path>', "folder with the kubelet's layout: pods, plugins, sockets (default: /var/lib/kubelet)")
    .option('--share-root-dir', 'make the root folder a shared mount, for containers that mount volumes for others')
    .option(
      '--state-dir <path>',
      'folder for what survives a reboot: images, records, objects (default: /var/lib/berth)',
    )
    .option('--run-dir <path>', 'folder for what does not: namespaces, sockets (default: /run/berth)')
    .option('--pod-logs-dir <path>', 'folder of the pod logs (default: /var/log/pods)')
    .option('--cni-conf-dir <path>', 'folder of CNI configuration (default: /etc/cni/net.d)')
    .option('--cgroup-root <path>', 'cgroup below which pods are put (default: /)')
    .option('--image-credential-provider-config <path>', 'file or folder that names credential provider plugins')
    .option('--image-credential-provider-bin-dir <folder>', 'where their programs are')
    .option(
      '--insecure-registry <host...>',
      'registries that may speak plain HTTP or show any certificate; on the loopback plain HTTP needs no such word',
    )
    .option(
      '--healthz-port <port>',
      'port of /healthz and /metrics on 127.0.0.1, 0 for none (default: 10248)',
      wholeNumber,
    )
    .option('--log-level <level>', 'debug, info, warn or error', 'info');
}

function addHostCommands(program: Command, deps: ProgramDeps): void {
  addKubeletFlags(addAgentOptions(program.command('agent').description('run the agent in the foreground'))).action(
    async (flags: Record<string, unknown>) => {
      await deps.alone(async () => (await import('./commands/agent.js')).runAgent(flags));
    },
  );
  program
    .command('demo')
    .description('run the sample manifests in the foreground, with a network and images made for them')
    .option('--samples <path>', 'folder of manifests (default: those that come with berth)')
    .option('--clean', 'end the pods of an earlier demo and remove all it left')
    .option('--log-level <level>', 'debug, info, warn or error', 'warn')
    .action(async (flags: { samples?: string; clean?: boolean; logLevel: string }) => {
      await deps.alone(async () => (await import('./commands/demo.js')).demo(flags));
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
      await deps.alone(async () => (await import('./commands/cri-serve.js')).criServe(flags));
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
      await deps.alone(async () => (await import('./commands/check.js')).check(flags));
    });
  addKubeletFlags(checking);
}

function addReadingCommands(client: MakeClient, deps: ProgramDeps): void {
  client('get', 'show pods, manifests, events, images, nodes, plugins, configmaps, secrets, ...', 'resource')
    .argument('<type>', 'type, TYPE,TYPE, all, or TYPE/NAME')
    .argument('[name...]')
    .addOption(namespaceOption())
    .addOption(allNamespacesOption())
    .addOption(selectorOption())
    .addOption(fieldOption())
    .option('--sort-by <path>', 'in the order of this field: .metadata.creationTimestamp')
    .option('--show-labels', 'with all labels')
    .option('-L, --label-columns <labels>', 'with a column for each of these labels: app,tier', each)
    .addOption(outputOption())
    .option('-w, --watch', 'go on showing changes')
    .option('--watch-only', 'show changes only')
    .option('--ignore-not-found', 'what is not there is no error')
    .option('--show-values', 'show the values of secrets')
    .option('--no-headers', 'leave the headings out')
    .action(async (type: string, names: string[], flags: object) => {
      await deps.client(flags, async (f, c) => (await import('./commands/get.js')).get([type, ...names], f, c));
    });
  client('describe', 'show all about a pod, a node, an image or another object', 'resource')
    .argument('<type>', 'type, or TYPE/NAME')
    .argument('[name...]', 'all of the type when absent')
    .addOption(namespaceOption())
    .addOption(allNamespacesOption())
    .addOption(selectorOption())
    .action(async (type: string, names: string[], flags: object) => {
      await deps.client(flags, async (f, c) =>
        (await import('./commands/describe.js')).describe([type, ...names], f, c),
      );
    });
  client('why', 'explain why a pod is as it is, and what would help', 'pod')
    .argument('<pod>')
    .addOption(namespaceOption())
    .addOption(outputOption())
    .action(async (pod: string, flags: object) => {
      await deps.client(flags, async (f, c) => (await import('./commands/why.js')).why(pod, f, c));
    });
  client('logs', 'print the log of a container', 'pod')
    .argument('[pod]')
    .argument('[container]')
    .addOption(namespaceOption())
    .option('-c, --container <name>', 'container (default: the first)')
    .option('-f, --follow', 'go on as the container writes')
    .option('-p, --previous', 'of the instance before the last restart')
    .option('--tail <lines>', 'only the last lines', wholeNumber)
    .option('--since <duration>', 'only newer than 30s, 5m, 1h30m', duration)
    .option('--since-time <time>', 'only from this time on (RFC 3339)')
    .option('-t, --timestamps', 'with the time of each line')
    .option('--limit-bytes <bytes>', 'at most this many bytes', wholeNumber)
    .option('--all-containers', 'of all containers of the pod')
    .option('-l, --selector <selector>', 'of all pods with these labels')
    .option('--prefix', 'name pod and container before each line')
    .action(async (pod: string | undefined, container: string | undefined, flags: object) => {
      await deps.client(flags, async (f, c) => (await import('./commands/logs.js')).logs(pod, container, f, c));
    });
  client('events', 'show what happened to pods')
    .addOption(namespaceOption())
    .addOption(allNamespacesOption())
    .option('--for <pod>', 'only of this pod')
    .option('--types <types>', 'Normal, Warning, or both with a comma')
    .addOption(fieldOption())
    .addOption(outputOption())
    .option('-w, --watch', 'go on as they happen')
    .option('--no-headers', 'leave the headings out')
    .action(async (flags: object) => {
      await deps.client(flags, async (f, c) => (await import('./commands/events.js')).events(f, c));
    });
  client('top', 'show what pods, or the node, use of CPU and memory', 'resource')
    .argument('<type>', 'pods or node, or TYPE/NAME')
    .argument('[name...]')
    .addOption(namespaceOption())
    .addOption(allNamespacesOption())
    .addOption(selectorOption())
    .addOption(fieldOption())
    .option('--containers', 'of each container')
    .addOption(new Option('--sort-by <figure>', 'the largest first').choices(['cpu', 'memory']))
    .option('--sum', 'and what all of them use together')
    .option('--no-headers', 'leave the headings out')
    .action(async (type: string, names: string[], flags: object) => {
      await deps.client(flags, async (f, c) => (await import('./commands/top.js')).top([type, ...names], f, c));
    });
  client('version', 'show the versions of the command and of the agent')
    .option('--client', 'of the command only')
    .option('-o, --output <format>', 'json or yaml')
    .action(async (flags: object) => {
      await deps.client(flags, async (f, c) => (await import('./commands/version.js')).version(f, c));
    });
  client('plugins', 'show runtime, network, storage and device plugins')
    .addOption(outputOption())
    .action(async (flags: object) => {
      await deps.client(flags, async (f, c) => (await import('./commands/get.js')).get(['plugins'], f, c));
    });
  client('trace', 'show the calls of plugins and programs, with what they were asked and answered', 'pod')
    .argument('[pod]')
    .addOption(namespaceOption())
    .option('--plugin <name>', 'only of this plugin: bridge, crun, skopeo, ...')
    .addOption(new Option('--interface <name>', 'only of this interface').choices(interfaces))
    .option('--verb <name>', 'only this verb: ADD, create, ...')
    .option('--failed', 'only calls that failed')
    .option('--running', 'only calls under way')
    .option('--last <number>', 'only the last ones', wholeNumber)
    .option('-f, --follow', 'go on as they happen')
    .option('-v, --verbose', 'with request and answer')
    .addOption(outputOption())
    .action(async (pod: string | undefined, flags: object) => {
      await deps.client(flags, async (f, c) => (await import('./commands/trace.js')).trace(pod, f, c));
    });
}

function addChangingCommands(client: MakeClient, deps: ProgramDeps): void {
  client('apply', 'create or change the objects of a manifest', 'file')
    .addOption(fileOption())
    .addOption(namespaceOption())
    .option('-R, --recursive', 'folders with those below them')
    .option('-o, --output <format>', 'name, json or yaml')
    .allowExcessArguments()
    .action(async (flags: object, command: Command) => {
      await deps.client(flags, async (f, c) => (await import('./commands/apply.js')).apply(command.args, f, c));
    });
  client('delete', 'delete objects that were applied', 'resource')
    .argument('[type]', 'type, or TYPE/NAME')
    .argument('[name...]')
    .addOption(fileOption())
    .addOption(namespaceOption())
    .option('--grace-period <seconds>', 'time the containers get to end', wholeNumber)
    .option('--now', 'one second of grace')
    .option('--force', 'no grace at all')
    .option('-R, --recursive', 'folders with those below them')
    .addOption(selectorOption())
    .addOption(fieldOption())
    .option('--all', 'all of the type in the namespace')
    .addOption(allNamespacesOption())
    .option('--wait [bool]', 'wait until nothing of the pods is left (default: true)', isTrue)
    .option('--no-wait', 'do not wait for it')
    .option('--timeout <duration>', 'wait at most this long', duration)
    .option('--ignore-not-found', 'what is not there is no error')
    .option('-o, --output <format>', 'name')
    .action(async (type: string | undefined, names: string[], flags: object) => {
      const args = type === undefined ? [] : [type, ...names];
      await deps.client(flags, async (f, c) => (await import('./commands/apply.js')).remove(args, f, c));
    });
  client('pressure', 'show how near the node is to evicting pods')
    .option('--what-if', 'who would go, in what order, with the arithmetic; nothing is touched')
    .action(async (flags: { socket?: string }) => {
      await deps.client(flags, async (f, c) => (await import('./commands/pressure.js')).pressure(f, c));
    });
  client('retry', 'try now what pods wait for, whatever their back-off says', 'pod')
    .argument('<pod...>')
    .addOption(namespaceOption())
    .action(async (pods: string[], flags: object) => {
      await deps.client(flags, async (f, c) => (await import('./commands/retry.js')).retry(pods, f, c));
    });
}

function addStreamCommands(client: MakeClient, deps: ProgramDeps): void {
  const session = (name: string, description: string): Command =>
    client(name, description, 'pod')
      .argument('<pod>')
      .addOption(namespaceOption())
      .option('-c, --container <name>', 'container (default: the first)')
      .option('-i, --stdin', 'pass standard input on')
      .option(
        '-t, --tty',
        'with a terminal of the size of this one; with crun the size may come a moment after the start',
      )
      .option('-q, --quiet', 'do not say which container was chosen');
  session('exec', 'run a command in a container')
    .argument('[command...]', 'after --')
    .action(async (pod: string, command: string[], flags: object) => {
      await deps.client(flags, async (f, c) => (await import('./commands/exec.js')).exec(pod, command, f, c), false);
    });
  session('attach', "join the input and output of a container's main process").action(
    async (pod: string, flags: object) => {
      await deps.client(flags, async (f, c) => (await import('./commands/exec.js')).attach(pod, f, c), false);
    },
  );
  client('port-forward', 'pass ports of this machine on to a pod', 'pod')
    .argument('<pod>')
    .argument('<port...>', 'PORT, LOCAL:PORT or :PORT; a port of the pod may be given by its name')
    .addOption(namespaceOption())
    .option('--address <addresses>', 'addresses to listen on (default: localhost)')
    .action(async (pod: string, ports: string[], flags: object) => {
      await deps.client(flags, async (f, c) =>
        (await import('./commands/port-forward.js')).portForward(pod, ports, f, c),
      );
    });
}

function addImageCommands(client: MakeClient, deps: ProgramDeps, completes: Map<Command, Completes>): void {
  const list = (command: Command): Command =>
    command
      .addOption(outputOption())
      .option('-q, --quiet', 'only their IDs')
      .option('--no-headers', 'leave the headings out')
      .action(async (flags: object) => {
        await deps.client(own(flags), async (f, c) => (await import('./commands/images.js')).listImages(f, c));
      });
  const images = list(client('images', 'show the images, why each stays, and manage them'));
  images.allowExcessArguments().hook('preAction', (_images, asked) => {
    const stray = asked === images ? asked.args[0] : undefined;
    const known = images.commands.map((command) => command.name()).join(', ');
    if (stray !== undefined) images.error(`error: unknown command 'images ${stray}'; there are ${known}`);
  });
  /** `berth images --socket PATH pull NAME` means the same as with the option at the end. */
  const own = <F extends object>(flags: F): F & ClientFlags => ({ ...images.opts<ClientFlags>(), ...flags });
  const sub = (name: string, description: string, completion: Completes): Command => {
    // What its list lets pass for a better word is not for them: a file in the place of `-o FILE` must not be passed over.
    const command = images.command(name).description(description).addOption(socketOption()).allowExcessArguments(false);
    completes.set(command, completion);
    return command;
  };
  list(sub('ls', 'show the images', undefined));
  sub('pull', 'fetch an image from its registry', undefined)
    .argument('<reference>')
    .option('-u, --username <name>', 'user of the registry')
    .option('--password-stdin', 'read the password from standard input')
    .action(async (reference: string, flags: object) => {
      await deps.client(own(flags), async (f, c) => (await import('./commands/images.js')).pullImage(reference, f, c));
    });
  sub('import', 'take the images of a docker or OCI archive', 'file')
    .argument('<file>', 'archive, or - for standard input')
    .option('-t, --tag <reference>', 'name the image gets instead of those in the archive')
    .option('--pin', 'never collect it')
    .action(async (file: string, flags: object) => {
      await deps.client(own(flags), async (f, c) => (await import('./commands/images.js')).importImage(file, f, c));
    });
  sub('export', 'write an image to an archive', 'image')
    .argument('<reference>')
    .option('-o, --output <file>', 'file that is not there yet (default: standard output)')
    .option('--format <format>', 'oci-archive or docker-archive', 'oci-archive')
    .action(async (reference: string, flags: object) => {
      await deps.client(own(flags), async (f, c) =>
        (await import('./commands/images.js')).exportImage(reference, f, c),
      );
    });
  sub('rm', 'remove images', 'image')
    .argument('<reference...>')
    .option('--force', 'also one that pods use')
    .action(async (references: string[], flags: object) => {
      await deps.client(own(flags), async (f, c) =>
        (await import('./commands/images.js')).removeImages(references, f, c),
      );
    });
  sub('tag', 'give an image one more name', 'image')
    .argument('<reference>')
    .argument('<name>')
    .action(async (reference: string, name: string, flags: object) => {
      await deps.client(own(flags), async (f, c) =>
        (await import('./commands/images.js')).tagImage(reference, name, f, c),
      );
    });
  for (const pinned of [true, false]) {
    sub(
      pinned ? 'pin' : 'unpin',
      pinned ? 'keep an image from being collected' : 'let an image be collected again',
      'image',
    )
      .argument('<reference>')
      .action(async (reference: string, flags: object) => {
        await deps.client(own(flags), async (f, c) =>
          (await import('./commands/images.js')).pinImage(reference, pinned, f, c),
        );
      });
  }
}

function addCompletion(program: Command, deps: ProgramDeps, completes: ReadonlyMap<Command, Completes>): void {
  program
    .command('completion')
    .description('print the completion script of a shell: source <(berth completion bash)')
    .argument('<shell>', 'bash, zsh or fish')
    .action(async (shell: string) => {
      await deps.alone(async () => (await import('./completion/scripts.js')).printScript(shell));
    });
  program.addCommand(
    new Command('__complete')
      .argument('[words...]')
      .allowUnknownOption()
      .helpOption(false)
      .action(async (words: string[]) => {
        await deps.alone(async () => (await import('./completion/complete.js')).complete(program, completes, words));
      }),
    { hidden: true },
  );
}
