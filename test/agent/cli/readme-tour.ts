import { readFileSync } from 'node:fs';

export interface TourStep {
  /** As somebody types it; the lines of a here-document belong to it. */
  readonly command: string;
  readonly printed: string;
}

/** The commands of the README's tour with what it says they print, in its order. */
export function readTour(): TourStep[] {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const tour = readme.split('\n## Five minutes\n')[1]?.split('\n## ')[0] ?? '';
  const steps: TourStep[] = [];
  for (const [, block = ''] of tour.matchAll(/```console\n([^]*?)```/g))
    for (const part of block.split(/^\$ /m).filter((each) => each !== '')) steps.push(stepOf(part));
  return steps;
}

function stepOf(text: string): TourStep {
  const lines = text.trimEnd().split('\n');
  const end = /<<'(\w+)'$/.exec(lines[0] ?? '')?.[1];
  const words = end === undefined ? 1 : lines.indexOf(end) + 1;
  return { command: lines.slice(0, words).join('\n'), printed: lines.slice(words).join('\n') };
}

/** What differs from run to run, and how wide columns are for it, is taken out; lines of one moment may change places. */
export function comparable(text: string, nodeName = 'vm'): string[] {
  return text
    .replaceAll(new RegExp(`\\b${nodeName}\\b`, 'g'), 'NODE')
    .replaceAll(/\b\d\d:\d\d:\d\d\.\d{3}\b/g, 'TIME')
    .replaceAll(/\b10\.87\.\d+\.\d+\b/g, 'ADDRESS')
    .replaceAll(/\b[0-9a-f]{12}\b/g, 'ID')
    .replaceAll(/ \(\d+ times\)/g, '')
    .replaceAll(/tried again (in \d+s|now)/g, 'tried again SOON')
    .replaceAll(/(?<=^#|\bline |\btry )\d+/gm, 'N')
    .replaceAll(/\b\d+(\.\d+)?( ms|m\d+s|s)\b/g, 'SPAN')
    .split('\n')
    .map((line) => line.replaceAll(/\s+/g, ' ').trim())
    .filter((line) => line !== '')
    .toSorted();
}
