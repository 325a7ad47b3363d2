/** Command lines below the help of a command; the first word of each is that command. */
const examples: Readonly<Record<string, readonly string[]>> = {
  agent: [
    'agent --manifests /etc/berth/manifests',
    'agent --kubeconfig /etc/kubernetes/kubelet.conf --config /var/lib/kubelet/config.yaml',
  ],
  check: ['check', 'check --config /etc/berth/config.yaml -o json'],
  get: [
    'get pods -o wide',
    'get pod/web configmap/settings -o yaml',
    'get pods -A -l app=web --watch',
    "get pods -o jsonpath='{.items[*].status.podIP}'",
    'get manifests',
  ],
  describe: ['describe pod web', 'describe node', 'describe pods -l app=web'],
  why: ['why web'],
  logs: ['logs web -f', 'logs web -c server --previous --tail 20', 'logs -l app=web --since 1h30m --prefix'],
  events: ['events --for pod/web --watch', 'events -A --types Warning'],
  top: ['top pods', 'top pods -A --containers --sort-by memory', 'top node'],
  trace: ['trace web', 'trace --failed --last 20 -v', 'trace --interface cni --follow'],
  apply: ['apply -f web.yaml', 'apply -f manifests/', 'cat web.yaml | berth apply -f -'],
  delete: ['delete pod web', 'delete pods -l app=web --grace-period 5', 'delete -f web.yaml'],
  exec: ['exec web -- ls /', 'exec -it web -c server -- sh'],
  attach: ['attach -it web'],
  'port-forward': ['port-forward web 8080:80', 'port-forward web :http'],
  images: ['images pull docker.io/library/busybox:1', 'images import busybox.tar --tag localhost/busybox:1'],
  retry: ['retry web'],
  pressure: ['pressure --what-if'],
};

/** Empty for a command that needs none. */
export function examplesOf(command: string): string {
  const lines = examples[command] ?? [];
  if (lines.length === 0) return '';
  const whole = lines.map((line) => (line.includes('| berth') ? line : `berth ${line}`));
  return `\n${lines.length === 1 ? 'Example' : 'Examples'}:\n${whole.map((line) => `  ${line}`).join('\n')}`;
}
