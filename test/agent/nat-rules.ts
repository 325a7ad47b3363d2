import { hostProgram, tryHostProgram } from '../support/host-program.js';

/** Rules of the nat table that name a network of CNI plugins, as `iptables-save` prints them. */
export async function natRulesOf(network: string): Promise<string[]> {
  const text = await hostProgram(['iptables-save', '-t', 'nat']);
  return text.split('\n').filter((line) => line.startsWith('-A ') && line.includes(network));
}

/** Takes them away with the chains of their own they lead to; for what a test that failed leaves, and for a reboot. */
export async function removeNatRules(network: string): Promise<void> {
  const rules = (await natRulesOf(network)).map(words);
  const own = new Set(rules.map((rule) => rule.at(rule.indexOf('-j') + 1) ?? '').filter((name) => ownChain.test(name)));
  for (const [, chain = '', ...match] of rules)
    if (!own.has(chain)) await tryHostProgram(['iptables', '-w', '-t', 'nat', '-D', chain, ...match]);
  for (const chain of own)
    for (const verb of ['-F', '-X']) await tryHostProgram(['iptables', '-w', '-t', 'nat', verb, chain]);
}

/** The plugins' chain of one attachment; those of `HOSTPORT` serve all. */
const ownChain = /^CNI-(?!HOSTPORT)/;

/** Splits a rule as a shell would: in quotes, a backslash stands before what is meant literally. */
function words(rule: string): string[] {
  return [...rule.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain]) =>
    quoted === undefined ? (plain ?? '') : quoted.replaceAll(/\\(.)/g, '$1'),
  );
}
