import { expect, test } from 'vitest';
import { commandFirst, plainOptions } from './normal-arguments.js';
import { buildProgram } from './program.js';

const nothing = (): Promise<void> => Promise.resolve();
const namesOf = (word?: string): string[] =>
  buildProgram({ client: nothing, alone: nothing }, word).program.commands.map((command) => command.name());

test('every command is found by its own name alone', () => {
  const all = namesOf();
  for (const name of all) expect(namesOf(name), name).toContain(name);
  expect(namesOf('get').length).toBeLessThan(all.length);
  expect(namesOf('nonsense')).toEqual(all);
});

/** What a command line is answered with before anything is asked of the agent; undefined where it is taken. */
async function refusal(...line: string[]): Promise<string | undefined> {
  const args = commandFirst(line);
  let said = '';
  const { program } = buildProgram({ client: nothing, alone: nothing }, args[0]);
  for (const command of [program, ...program.commands])
    command.exitOverride().configureOutput({ writeErr: (text) => void (said += text) });
  return await program.parseAsync(plainOptions(program, args), { from: 'user' }).then(
    () => undefined,
    () => said,
  );
}

test.each([
  [['logs', '-n', '', 'web']],
  [['-n', '', 'logs', 'web']],
  [['get', 'pods', '--namespace=']],
  [['apply', '-n=', '-f', 'x.yaml']],
])('%j is told which value is missing', async (line) => {
  expect(await refusal(...line)).toContain('expected the name of a namespace');
});

test('what is no name of a namespace is told so, and names are taken', async () => {
  expect(await refusal('why', '-n', 'shop/web', 'web')).toContain('lower case letters');
  for (const name of ['default', 'kube-system', '0', 'a'.repeat(63)])
    expect(await refusal('why', '-n', name, 'web')).toBeUndefined();
});

test('a command line made for the agent, as kubeadm writes it, can be checked as it is', async () => {
  const line = ['--kubeconfig=/etc/kubernetes/kubelet.conf', '--node-ip=10.0.0.7', '--node-labels=a=b', '--max-pods=9'];
  expect(await refusal('check', ...line)).toBeUndefined();
  expect(await refusal('check', '--no-such=1')).toContain("unknown option '--no-such=1'");
});
