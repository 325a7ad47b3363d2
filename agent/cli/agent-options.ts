import type { Command } from 'commander';
import { addClusterOptions } from './cluster-options.js';
import { truth, wholeNumber } from './common-options.js';

/** Of `berth agent`, with those that make it a node of a cluster. */
export function addAgentOptions(command: Command): Command {
  return addClusterOptions(command)
    .option('--manifests <path>', 'folder or file of manifests to run')
    .option('--manifest-url <url>', 'URL of manifests to run')
    .option('--node-name <name>', 'name of this node (default: the host name)')
    .option('--root-dir <path>', "folder with the kubelet's layout: pods, plugins, sockets (default: /var/lib/kubelet)")
    .option(
      '--share-root-dir [bool]',
      'make the root folder a shared mount, for containers that mount volumes for others',
      truth,
    )
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
