"""Melodies: their alphabet, rules, MIDI files in and out, piano rolls, and the model of them."""

from __future__ import annotations

import hashlib
import json
import os
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import latentsearch as ls
from latentsearch import melodies, models, plots, training
from latentsearch.melodies import HOLD, REST, STATES
from latentsearch.melodies._skyline import Note, skyline
from latentsearch.noise import Noise

TUNE = [60, HOLD, 62, REST, REST, 64, HOLD, HOLD]


def rows(*events: list[int]) -> Tensor:
    return torch.tensor(list(events))


def tiny(**changes: object) -> models.MelodyVAE:
    with training.initialised(0):
        return models.MelodyVAE(32, bars=2, latent=3, width=6, embedding=4, **changes).eval()  # type: ignore[arg-type]


# -- the alphabet and the rules ----------------------------------------------------------------------


def test_a_hold_with_nothing_to_hold_is_a_rest():
    silent = rows([HOLD, HOLD, 60, HOLD, REST, HOLD, HOLD, 61])
    assert melodies.canonical(silent).tolist() == [[REST, REST, 60, HOLD, REST, REST, REST, 61]]
    assert torch.equal(melodies.canonical(rows(TUNE)), rows(TUNE))


def test_logits_are_read_as_their_most_likely_events():
    logits = torch.nn.functional.one_hot(rows(TUNE), STATES).float()
    assert torch.equal(melodies.events_of(logits), rows(TUNE))
    classes = melodies.scale("C major")
    assert torch.equal(melodies.pitch_class_reward(logits, classes), melodies.pitch_class_reward(rows(TUNE), classes))


@pytest.mark.parametrize("melody", [torch.zeros(8).long(), torch.zeros(2, 8), torch.zeros(2, 8, 12), torch.zeros(8)])
def test_what_is_no_melody_is_refused(melody):
    with pytest.raises(ls.InvalidArgument, match=r"expected events \(N, T\)"):
        melodies.events_of(melody)


def test_rewards_are_those_of_the_paper():
    three = rows(TUNE, [61, 60, 63, 66, HOLD, HOLD, HOLD, HOLD], [REST] * 8)
    assert melodies.count_notes(three).tolist() == [3, 4, 0]
    assert melodies.pitch_class_reward(three, melodies.scale("C major")).tolist() == [1.0, 0.25, 0.0]
    assert melodies.density_reward(three, 4).tolist() == [0.75, 1.0, 0.0]


def test_scales_have_their_usual_names():
    assert melodies.scale("C major") == (0, 2, 4, 5, 7, 9, 11)
    flat = (0, 2, 3, 5, 7, 8, 10)
    assert all(melodies.scale(name) == flat for name in ("E flat major", "Eb major", "e♭ Major", "C minor"))
    assert melodies.scale("F sharp minor") == melodies.scale("A major")
    assert melodies.scale("D dorian") == melodies.scale("C major") == melodies.scale("C  major ")
    assert len(melodies.scale("B harmonic minor")) == 7 and 10 in melodies.scale("B harmonic minor")
    for name in ("", "C", "H major", "C flat", "major", "Cx minor", "C major major"):
        with pytest.raises(ls.InvalidArgument, match="a tonic and a mode"):
            melodies.scale(name)


@pytest.mark.parametrize("classes", [(), (12,), (-1, 3)])
def test_pitch_classes_out_of_range_are_refused(classes):
    with pytest.raises(ls.InvalidArgument, match="0 for C to 11 for B"):
        melodies.pitch_class_reward(rows(TUNE), classes)


# -- one voice of several ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("notes", "expected"),
    [
        # A higher note that begins above another ends it, and it does not begin again.
        ([Note(50, 0, 6), Note(60, 2, 4)], [50, HOLD, 60, HOLD, REST, REST]),
        # A lower note that begins under another is left out, also where it outlasts that.
        ([Note(60, 0, 3), Note(50, 1, 6)], [60, HOLD, HOLD, REST, REST, REST]),
        ([Note(60, 0, 3), Note(64, 0, 2), Note(55, 3, 5)], [64, HOLD, REST, 55, HOLD, REST]),
        ([Note(60, 0, 2), Note(60, 2, 4)], [60, HOLD, 60, HOLD, REST, REST]),
        ([Note(60, 0, 1), Note(60, 0, 3)], [60, HOLD, HOLD, REST, REST, REST]),
    ],
)
def test_the_highest_note_is_kept(notes, expected):
    assert skyline(notes, 6).tolist() == expected


# -- MIDI files --------------------------------------------------------------------------------------

EVENTS = st.one_of(st.integers(0, 127), st.just(HOLD), st.just(REST))


@settings(max_examples=40, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=40))
def test_melodies_come_back_from_midi_as_they_were(tmp_path_factory, events):
    pytest.importorskip("mido", reason="the extra `midi` is not installed")
    melody = melodies.canonical(rows(events))
    (path,) = melodies.save_midi(tmp_path_factory.mktemp("midi") / "tune.mid", melody)
    (back,) = melodies.read_midi(path)
    assert back.tolist() == melody[0].tolist()


def test_a_folder_gives_every_window_once(tmp_path):
    pytest.importorskip("mido", reason="the extra `midi` is not installed")
    bars = torch.arange(60, 65)[:, None].expand(5, 16).clone()
    bars[:, 1:] = HOLD
    tune = bars.flatten()
    silent = torch.full((64,), REST)
    paths = melodies.save_midi(tmp_path / "in" / "a.mid", torch.stack([tune[:64], tune[16:], silent]))
    assert [path.name for path in paths] == ["a-0.mid", "a-1.mid", "a-2.mid"]
    found = melodies.load_midi(tmp_path, bars=2)
    assert found.dtype == torch.int64
    assert torch.equal(found, tune.unfold(0, 32, 16))
    assert len(melodies.load_midi(tmp_path, bars=2, stride=2)) == 4
    assert melodies.load_midi(tmp_path, bars=16).shape == (0, 256)


def test_what_is_not_in_4_4_is_left_out_with_a_warning(tmp_path):
    mido = pytest.importorskip("mido", reason="the extra `midi` is not installed")
    melodies.save_midi(tmp_path / "good.mid", torch.randint(50, 70, (1, 16)))
    waltz = mido.MidiFile(tmp_path / "good.mid")
    waltz.tracks[0][0] = mido.MetaMessage("time_signature", numerator=3, denominator=4)
    waltz.save(tmp_path / "waltz.mid")
    (tmp_path / "broken.mid").write_bytes((tmp_path / "good.mid").read_bytes()[:40])
    with pytest.warns(melodies.MidiWarning, match="2 of 3 files gave no melodies"):
        assert len(melodies.load_midi(tmp_path, bars=1)) == 1
    with pytest.raises(ls.InvalidArgument, match="in 3/4, expected a file in 4/4"):
        melodies.read_midi(tmp_path / "waltz.mid")
    with pytest.raises(ls.BrokenFile, match=r"broken\.mid is not a whole MIDI file"):
        melodies.read_midi(tmp_path / "broken.mid")
    with pytest.raises(ls.InvalidArgument, match="a folder with"):
        melodies.load_midi(tmp_path / "nowhere")


def test_instruments_are_apart_and_drums_are_left_out(tmp_path):
    mido = pytest.importorskip("mido", reason="the extra `midi` is not installed")
    file = mido.MidiFile(ticks_per_beat=100)
    track = file.add_track()
    for channel, note, ticks in ((0, 60, 0), (9, 35, 0), (1, 70, 26)):
        track.append(mido.Message("note_on", channel=channel, note=note, time=ticks))
    track.append(mido.Message("note_on", channel=0, note=60, velocity=0, time=23))  # an end, as many files say it
    track.append(mido.Message("note_on", channel=1, note=70, time=26))  # struck again; it ends with the file
    track.append(mido.MetaMessage("end_of_track", time=25))
    file.save(tmp_path / "two.mid")
    first, second = melodies.read_midi(tmp_path / "two.mid")
    assert first.tolist() == [60, HOLD, REST, REST]
    assert second.tolist() == [REST, 70, HOLD, 70]


# -- sound and pictures ------------------------------------------------------------------------------


def test_without_a_synthesiser_one_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ls.Unsupported, match=r"no `fluidsynth` on the path.*apt install fluidsynth"):
        melodies.render(tmp_path / "tune.mid")


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_a_synthesiser_is_called_with_the_file_and_the_sounds(tmp_path, monkeypatch):
    script = tmp_path / "fluidsynth"
    script.write_text('#!/bin/sh\n[ "$4" = "-r" ] || exit 1\ncat "$7" > "$3"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    tune, sounds = tmp_path / "tune.mid", tmp_path / "bank.sf2"
    tune.write_text("notes")
    with pytest.raises(ls.InvalidArgument, match=r"expected an \.sf2 file"):
        melodies.render(tune, soundfont=sounds)
    sounds.touch()
    assert melodies.render(tune, soundfont=sounds).read_text() == "notes"
    script.write_text("#!/bin/sh\necho no sound >&2\nexit 3\n")
    with pytest.raises(ls.Unsupported, match="fluidsynth that fails: 'no sound'"):
        melodies.render(tune, soundfont=sounds)


def test_a_piano_roll_shows_notes_outside_the_scale_in_red(tmp_path):
    tunes = rows([60, HOLD, 61, HOLD] * 4, [REST] * 16)
    path = plots.save_piano_roll(
        tmp_path / "new" / "roll.png", tunes, ["a", "b"], highlight=melodies.scale("C major"), scale=4
    )
    with Image.open(path) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 16)}
        left, height = image.size[0] - 12 - 16 * 4, (61 - 60 + 1 + 4) * 4
        assert image.size[1] == 12 + height + 14 + height + 12
        # Two pitches beyond the highest, then the first row of 61, which begins at the third step.
        assert image.getpixel((left + 8, 12 + 2 * 4)) == (208, 40, 40)
        assert image.getpixel((left, 12 + 3 * 4)) == (38, 84, 150)
    assert (208, 40, 40) in colours
    plain = plots.save_piano_roll(tmp_path / "plain.png", tunes, ["a", "b"])
    with Image.open(plain) as image:
        assert (208, 40, 40) not in {colour for _, colour in image.convert("RGB").getcolors(1 << 16)}
    with pytest.raises(ls.InvalidArgument, match="one for each of 2 melodies"):
        plots.save_piano_roll(tmp_path / "x.png", tunes, ["a"])


# -- the model ---------------------------------------------------------------------------------------


def test_what_is_decoded_is_the_most_likely_path():
    model = tiny()
    z = Noise.from_seed(0, 4).normal(3) * 3
    logits = model.decode(z)
    assert logits.shape == (4, 32, STATES)
    # Given its own events as those before, the model says the same: so the arg-max is along its own path.
    torch.testing.assert_close(model.forced(z, logits.argmax(2)), logits)
    # A generator's encoder gets what its decoder gives.
    assert torch.equal(model.encode(logits), model.encode(logits.argmax(2)))


def test_draws_are_by_row_and_follow_the_probabilities():
    model, noise = tiny(), Noise.from_seed(0, 2000)
    z = torch.zeros(2000, 3)
    drawn = model.sample(z, noise)
    assert drawn.shape == (2000, 32) and drawn.dtype == torch.int64
    assert torch.equal(model.sample(z[5:9], noise[5:9]), drawn[5:9])
    expected = model.decode(z[:1])[0, 0].softmax(0)
    counts = drawn[:, 0].bincount(minlength=STATES) / 2000
    assert (counts - expected).abs().max() < 4 * (expected.max() / 2000).sqrt()
    with pytest.raises(ls.InvalidArgument, match="noise of 3 rows for 2 latents"):
        model.sample(z[:2], noise[:3])


def test_terms_are_the_bound_and_free_nats_are_free():
    tokens = Noise.from_seed(1).integers(STATES, 5, 32)[0]
    noise, model = Noise.from_seed(2), tiny(free_nats=1.0, kl_weight=0.5)
    plain = model.training_terms(tokens, noise)
    mean, deviation = model.posterior(tokens)
    q, p = torch.distributions.Normal(mean, deviation), torch.distributions.Normal(0.0, 1.0)
    exact = torch.distributions.kl_divergence(q, p).sum(1)
    torch.testing.assert_close(plain["kl"], exact.mean())
    model.train()
    trained = model.training_terms(tokens, noise)
    torch.testing.assert_close(trained["kl"], 0.5 * (exact - 1).clamp(min=0).mean())
    torch.testing.assert_close(trained["reconstruction"], plain["reconstruction"])


def test_hidden_events_are_hidden_in_training_alone():
    tokens, noise = Noise.from_seed(1).integers(STATES, 3, 32)[0], Noise.from_seed(2)
    model = tiny(token_dropout=1.0)
    z, other = model.encode(tokens), (tokens + 1) % STATES
    assert not torch.equal(model.forced(z, tokens, noise), model.forced(z, other, noise))
    model.train()
    assert torch.equal(model.forced(z, tokens, noise), model.forced(z, other, noise))


def test_it_learns_tunes_by_heart():
    tunes = Noise.from_seed(3).integers(12, 4, 8)[0] + 60
    with training.initialised(0):
        model = models.MelodyVAE(8, bars=2, latent=4, width=32, embedding=16, kl_weight=0.01)
    adam = partial(torch.optim.Adam, lr=1.5e-2)
    history = ls.fit(model, (tunes,), ls.Fit(90, batch_size=4, optimizer=adam, log_every=30))
    assert history.train["reconstruction"][-1] < history.train["reconstruction"][0] / 3
    assert (model.decode(model.encode(tunes)).argmax(2) == tunes).float().mean() > 0.6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 30, "bars": 4}, "a multiple of the 4 bars"),
        ({"latent": 0}, "MelodyVAE.latent"),
        ({"width": 2.5}, "MelodyVAE.width"),
        ({"embedding": 1}, "MelodyVAE.embedding"),
        ({"token_dropout": 1.5}, "MelodyVAE.token_dropout"),
        ({"kl_weight": -1.0}, "MelodyVAE.kl_weight"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(ls.InvalidArgument, match=message):
        models.MelodyVAE(**changes)


def test_melodies_of_another_length_are_refused():
    with pytest.raises(ls.InvalidArgument, match=r"expected events \(N, 32\)"):
        tiny().encode(torch.zeros(2, 31).long())


def test_a_rule_without_gradient_is_searched():
    model = tiny()
    generator = ls.ContinuousGenerator(model.decode, model.latent_shape)
    classes = melodies.scale("C major")
    goal = ls.Satisfies(lambda x: 1 - melodies.pitch_class_reward(x, classes), differentiable=False)
    start = goal(generator.decode(generator.prior.sample(Noise.from_seed(0, 1))), torch.zeros(1, 3)).loss
    result = ls.CMAESSearch().search(generator, goal, seed=0, run=ls.Run(evaluations=150))
    assert result.score.loss.item() <= start.item()
    reward = melodies.pitch_class_reward(result.output, classes)
    torch.testing.assert_close(1 - reward, result.score.loss)


def test_the_example_trains_measures_and_publishes(tmp_path, monkeypatch):
    examples = Path(__file__).parents[1] / "examples"
    monkeypatch.syspath_prepend(str(examples / "papers"))
    import train_melody_vae as script

    tokens = script.Transposed(rows(TUNE * 32).repeat(3, 1), 5)(0, Noise.from_seed(0))[0]
    assert tokens.shape == (5, 256)
    shifts = tokens[:, 0] - 60
    assert ((shifts >= -6) & (shifts <= 5)).all()
    assert torch.equal(tokens == HOLD, rows(TUNE * 32).expand(5, 256) == HOLD)
    with training.initialised(0):
        model = models.MelodyVAE(latent=3, width=6, embedding=4).eval()
    script.publish(model, tmp_path / "m.safetensors")
    again = script.trained(tmp_path / "m.safetensors")
    torch.testing.assert_close(again.state_dict(), model.state_dict(), atol=1e-3, rtol=1e-3)
    figures = script.music(rows(TUNE * 32), 64)
    assert figures["c_major_satisfied"] == figures["density_64_satisfied"] == figures["pairs_of_equal_bars"] == 1


def test_the_published_weights_are_those_of_the_log_and_reconstruct(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "examples" / "papers"))
    import train_melody_vae as script

    log = json.loads(script.LOG.read_text())
    assert hashlib.sha256(script.WEIGHTS.read_bytes()).hexdigest() == log["sha256"]
    model = script.trained()
    assert model.settings == log["settings"]
    try:
        tokens = script.melodies("test")[::27]
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert script.reconstruction(model, tokens)["accuracy_all"] > log["test"]["accuracy_all"] - 0.03
    prior = script.music(script.events(model, Noise.from_seed(7, 50).normal(*model.latent_shape)), 121)
    assert prior["distinct"] == 1 and prior["best_major_scale"] > log["prior"]["best_major_scale"] - 0.03
    generator = ls.wrap(model)  # which would warn if decoding an encoding led elsewhere
    assert generator.space == ls.Continuous((256,))
