import { Option } from 'commander';
import type { CallInterface } from '../../../base/call-recorder.js';
import {
  allNamespacesOption,
  duration,
  each,
  fieldOption,
  namespaceOption,
  outputOption,
  selectorOption,
  wholeNumber,
} from '../common-options.js';
import type { Parts } from './program-parts.js';

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

/** Commands that show what a running agent knows. */
export function addReadingCommands({ client, deps }: Parts): void {
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
      await deps.client(flags, async (f, c) => (await import('../commands/get.js')).get([type, ...names], f, c));
    });
  client('describe', 'show all about a pod, a node, an image or another object', 'resource')
    .argument('<type>', 'type, or TYPE/NAME')
    .argument('[name...]', 'all of the type when absent')
    .addOption(namespaceOption())
    .addOption(allNamespacesOption())
    .addOption(selectorOption())
    .action(async (type: string, names: string[], flags: object) => {
      await deps.client(flags, async (f, c) =>
        (await import('../commands/describe.js')).describe([type, ...names], f, c),
      );
    });
  client('why', 'explain why a pod is as it is, and what would help', 'pod')
    .argument('<pod>')
    .addOption(namespaceOption())
    .addOption(outputOption())
    .action(async (pod: string, flags: object) => {
      await deps.client(flags, async (f, c) => (await import('../commands/why.js')).why(pod, f, c));
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
      await deps.client(flags, async (f, c) => (await import('../commands/logs.js')).logs(pod, container, f, c));
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
      await deps.client(flags, async (f, c) => (await import('../commands/events.js')).events(f, c));
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
      await deps.client(flags, async (f, c) => (await import('../commands/top.js')).top([type, ...names], f, c));
    });
  client('version', 'show the versions of the command and of the agent')
    .option('--client', 'of the command only')
    .option('-o, --output <format>', 'json or yaml')
    .action(async (flags: object) => {
      await deps.client(flags, async (f, c) => (await import('../commands/version.js')).version(f, c));
    });
  client('plugins', 'show runtime, network, storage and device plugins')
    .addOption(outputOption())
    .action(async (flags: object) => {
      await deps.client(flags, async (f, c) => (await import('../commands/get.js')).get(['plugins'], f, c));
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
      await deps.client(flags, async (f, c) => (await import('../commands/trace.js')).trace(pod, f, c));
    });
}
