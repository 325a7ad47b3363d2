import type { Command } from 'commander';
import { pieces, truth } from './common-options.js';

/** What makes the machine a node of a cluster; names and meanings are the kubelet's. */
export function addClusterOptions(command: Command): Command {
  return command
    .option('--config <file>', "the kubelet's configuration file; berth's own settings are a second document in it")
    .option('--config-dir <folder>', 'folder of *.conf files that are merged into it, in the order of their names')
    .option('--kubeconfig <file>', 'how to reach the cluster; without it the machine stands alone')
    .option('--bootstrap-kubeconfig <file>', 'credentials to ask the cluster for better ones, kept in --kubeconfig')
    .option('--cert-dir <folder>', 'where certificates of the cluster are kept (default: pki in --root-dir)')
    .option('--rotate-certificates [bool]', 'renew the client certificate before it expires', truth)
    .option('--hostname-override <name>', 'name of this node (default: the host name)')
    .option('--node-ip <addresses>', 'address of this node, or two of different families with a comma')
    .option('--node-labels <labels>', 'labels of the node when it is made: a=b,c=d', pieces)
    .option('--register-with-taints <taints>', 'taints of the node when it is made: key=value:Effect,...')
    .option('--register-node [bool]', 'whether to make the node object (default: true)', truth)
    .option('--provider-id <id>', "the cloud's name of this machine")
    .option('--cloud-provider <name>', '"external" leaves addresses and a taint to a cloud controller')
    .option('--container-runtime-endpoint <endpoint>', 'embedded, docker, or unix:///run/containerd/containerd.sock')
    .option('--seccomp-default [bool]', 'the default seccomp profile for pods that name none', truth)
    .option('--feature-gates <gates>', 'Name=true,Other=false', pieces);
}
