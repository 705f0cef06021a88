//! The network, the diffusion process, the optimiser and the metrics against recordings of
//! RDT's own code. Sizes, seeds and step counts are read from the recordings.

use std::error::Error;
use std::path::PathBuf;

use rdt_model::diffusion::sampler::{self, DpmSolver};
use rdt_model::diffusion::{self, Draw, NoiseSchedule};
use rdt_model::metrics::{Comparison, SampleMetrics};
use rdt_model::network::position::PositionForm;
use rdt_model::network::{Conditions, NetworkShape, Rdt};
use rdt_model::parameters::Weights;
use rdt_model::weights::tensor_file::TensorFile;
use rdt_schema::config::{EmaConfig, NormForm};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

use crate::parameters::FlatParameters;
use crate::parameters::ema::Ema;
use crate::parameters::optimizer::{self, AdamW, AdamWSettings};
use crate::parameters::recompute::{self, GradientSum};
use crate::run::schedule::{LearningRate, ScheduleKind};

type TestResult = Result<(), Box<dyn Error>>;

fn golden_path(name: &str) -> PathBuf {
    let folder = std::env::var_os("RDT_GOLDENS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens")),
        PathBuf::from,
    );
    folder.join(name)
}

fn json(name: &str) -> Result<Value, Box<dyn Error>> {
    Ok(serde_json::from_slice(&std::fs::read(golden_path(name))?)?)
}

struct Recording(TensorFile);

impl Recording {
    fn open(name: &str) -> Result<Self, Box<dyn Error>> {
        Ok(Self(TensorFile::open(&golden_path(name))?))
    }

    fn get(&self, name: &str) -> Result<Tensor, Box<dyn Error>> {
        self.0.tensor(name)?.ok_or_else(|| format!("no tensor {name}").into())
    }
}

/// Fails where `ours` is further than `tolerance` from `theirs`.
fn assert_close(what: &str, ours: &Tensor, theirs: &Tensor, tolerance: f64) {
    assert_eq!(ours.size(), theirs.size(), "{what}: shape");
    let gap = (ours.to_kind(Kind::Double) - theirs.to_kind(Kind::Double)).abs().max().double_value(&[]);
    assert!(gap <= tolerance, "{what}: differs by {gap:e}, at most {tolerance:e} is allowed");
}

struct Setup {
    network: Rdt,
    parameters: FlatParameters,
    recorded: Value,
    forward: Recording,
    schedule: NoiseSchedule,
}

/// The recorded network with the recorded weights.
fn setup(norm: NormForm) -> Result<Setup, Box<dyn Error>> {
    let recorded = json("rdt_model.json")?;
    let number = |key: &str| recorded["config"][key].as_i64().ok_or(format!("no config.{key}"));
    let text = |key: &str| recorded["runner_config"][key].as_str().map(str::to_owned).ok_or(key.to_owned());
    let shape = NetworkShape {
        hidden: number("hidden")?,
        depth: number("depth")?,
        heads: number("heads")?,
        horizon: number("horizon")?,
        state_dim: number("dim")?,
        max_language_tokens: number("max_lang")?,
        language_dim: number("lang_dim")?,
        image_grid: [number("hist")?, number("cams")?, number("patches")?],
        image_dim: number("img_dim")?,
        adaptors: [text("lang_adaptor")?, text("img_adaptor")?, text("state_adaptor")?],
        norm,
        language_position: if recorded["config"]["lang_cfg"].as_bool() == Some(false) {
            PositionForm::Numbered
        } else {
            PositionForm::Multimodal
        },
        image_position: PositionForm::Multimodal,
    };
    let (network, layout) = Rdt::new(shape)?;
    let parameters = FlatParameters::initial(layout, 0, Device::Cpu)?;
    let file = TensorFile::open(&golden_path("rdt_state_dict.safetensors"))?;
    file.load(parameters.layout(), "", parameters.flat())?;
    let steps =
        recorded["runner_config"]["noise_scheduler"]["num_train_timesteps"].as_i64().ok_or("steps")?;
    let schedule = NoiseSchedule::new(steps, Device::Cpu)?;
    Ok(Setup {
        network,
        parameters,
        recorded,
        forward: Recording::open("rdt_forward.safetensors")?,
        schedule,
    })
}

impl Setup {
    fn conditions(&self) -> Result<Conditions, Box<dyn Error>> {
        Ok(Conditions {
            language: self.forward.get("in.lang_tokens")?,
            language_usable: Some(self.forward.get("in.lang_attn_mask")?.to_kind(Kind::Bool)),
            images: self.forward.get("in.img_tokens")?,
            control_freq: self.forward.get("in.ctrl_freqs")?,
            state: self.forward.get("in.state_tokens")?,
            mask: self.forward.get("in.action_mask")?,
        })
    }

    fn weights(&self) -> Result<Weights, Box<dyn Error>> {
        Ok(self.parameters.weights(Kind::Float)?)
    }
}

#[test]
fn golden_names_order_and_shapes_are_rdts() -> TestResult {
    let Setup { parameters, recorded, .. } = setup(NormForm::Variance)?;
    let ours: Vec<&str> = parameters.layout().parameters().iter().map(|p| p.name.as_str()).collect();
    let theirs: Vec<&str> =
        recorded["parameter_order"].as_array().ok_or("order")?.iter().filter_map(Value::as_str).collect();
    assert_eq!(ours, theirs);
    for parameter in parameters.layout().parameters() {
        let shape: Vec<i64> = serde_json::from_value(recorded["state_dict_shapes"][&parameter.name].clone())?;
        assert_eq!(parameter.shape, shape, "{}", parameter.name);
    }
    assert_eq!(Some(parameters.layout().elements()), recorded["n_params"].as_i64());
    Ok(())
}

#[test]
fn golden_initial_position_tables_and_last_layer() -> TestResult {
    let Setup { network, .. } = setup(NormForm::Variance)?;
    let (_, layout) = Rdt::new(network.shape().clone())?;
    let fresh = layout.initial_values(3, Device::Cpu)?;
    let recorded = Recording::open("rdt_init_pos_and_final.safetensors")?;
    for view in layout.views(&fresh) {
        let (parameter, ours) = view?;
        let name = parameter.name.as_str();
        // fc1 is random.
        if recorded.0.shape(name).is_some() && !name.contains("fc1.weight") {
            assert_close(name, &ours, &recorded.get(name)?, 1e-6);
        }
        assert!(ours.isfinite().all().int64_value(&[]) == 1, "{name}");
    }
    Ok(())
}

#[test]
fn golden_forward_pass_and_each_part_of_it() -> TestResult {
    let s = setup(NormForm::Variance)?;
    let (weights, conditions, f) = (s.weights()?, s.conditions()?, &s.forward);
    let adapted = s.network.adapt(&weights, &conditions)?;
    assert_close("adapt.lang", &adapted.language, &f.get("adapt.lang")?, 1e-5);
    assert_close("adapt.img", &adapted.images, &f.get("adapt.img")?, 1e-5);
    let tokens = f.get("adapt.state_action")?;
    let freq_float = f.get("in.ctrl_freqs_float")?;
    let usable = conditions.language_usable.as_ref();
    let t = f.get("rdt.t")?;
    let run = |freq: &Tensor, t: &Tensor, usable: Option<&Tensor>| {
        s.network.forward(&weights, &tokens, freq, t, &adapted, usable)
    };
    let freq = &conditions.control_freq;
    assert_close("rdt.out", &run(freq, &t, usable)?, &f.get("rdt.out")?, 1e-5);
    assert_close("float_freq", &run(&freq_float, &t, usable)?, &f.get("rdt.out_float_freq")?, 1e-5);
    assert_close("no_mask", &run(freq, &t, None)?, &f.get("rdt.out_no_mask")?, 1e-5);
    let gap = |ours: &Tensor, theirs: &Tensor| (ours - theirs).abs().max().double_value(&[]);
    // One timestep for the whole batch. The recording does not say which; it was 417 once.
    let single = f.get("rdt.out_single_t")?;
    let mut matches = false;
    for timestep in [417].into_iter().chain(0..s.schedule.steps()) {
        let ours = run(freq, &Tensor::from_slice(&[timestep]), usable)?;
        matches = gap(&ours, &single) <= 1e-5;
        if matches {
            break;
        }
    }
    assert!(matches, "no single timestep gives rdt.out_single_t");
    Ok(())
}

#[test]
fn golden_forward_pass_of_the_other_norm() -> TestResult {
    let s = setup(NormForm::MeanSquare)?;
    let (weights, conditions) = (s.weights()?, s.conditions()?);
    let adapted = s.network.adapt(&weights, &conditions)?;
    let ours = s.network.forward(
        &weights,
        &s.forward.get("adapt.state_action")?,
        &conditions.control_freq,
        &s.forward.get("rdt.t")?,
        &adapted,
        conditions.language_usable.as_ref(),
    )?;
    assert_close("out", &ours, &s.forward.get("variant_true_rms.rdt.out")?, 1e-5);
    Ok(())
}

#[test]
fn golden_loss_and_all_gradients() -> TestResult {
    let s = setup(NormForm::Variance)?;
    let (actions, noise) = (s.forward.get("in.action_gt")?, s.forward.get("loss.noise")?);
    let timesteps = s.forward.get("loss.timesteps")?;
    let noisy = s.schedule.add_noise(&actions, &noise, &timesteps)?;
    assert_close("noisy", &noisy, &s.forward.get("loss.noisy_action")?, 1e-6);
    let conditions = s.conditions()?;
    let draw = Draw { conditions: &conditions, actions: &actions, noise: &noise, timesteps: &timesteps };
    let loss = diffusion::loss(&s.network, &s.weights()?, &s.schedule, &draw)?;
    assert_close("loss", &loss.reshape([1]), &s.forward.get("loss.value")?, 1e-5);
    let gradient = s.parameters.gradient(&loss)?;
    let recorded = Recording::open("rdt_grads.safetensors")?;
    for view in s.parameters.layout().views(&gradient) {
        let (parameter, ours) = view?;
        let theirs = recorded.get(&parameter.name)?;
        let scale = theirs.abs().max().double_value(&[]);
        assert_close(&parameter.name, &ours, &theirs, 1e-4 * scale.max(1e-12));
    }
    let norm = s.forward.get("loss.grad_global_norm")?;
    assert_close("norm", &gradient.norm().reshape([1]), &norm, 1e-4);
    Ok(())
}

#[test]
fn golden_gradient_of_recomputed_blocks_is_the_same_bit_by_bit() -> TestResult {
    let s = setup(NormForm::Variance)?;
    let (actions, noise) = (s.forward.get("in.action_gt")?, s.forward.get("loss.noise")?);
    let timesteps = s.forward.get("loss.timesteps")?;
    let conditions = s.conditions()?;
    let draw = Draw { conditions: &conditions, actions: &actions, noise: &noise, timesteps: &timesteps };
    for kind in [Kind::Float, Kind::BFloat16] {
        let loss = diffusion::loss(&s.network, &s.parameters.weights(kind)?, &s.schedule, &draw)?;
        let gradient = s.parameters.gradient(&(&loss * 0.25))?;
        let mut sum = GradientSum::default();
        for times in 1..3 {
            let again =
                recompute::accumulate(&s.network, &s.parameters, kind, &s.schedule, &draw, 0.25, &mut sum)?;
            assert!(again.equal(&loss.detach()), "{kind:?} loss");
            let summed = sum.take().ok_or("no gradient")?;
            for (ours, theirs) in
                s.parameters.layout().views(&summed).zip(s.parameters.layout().views(&gradient))
            {
                let ((parameter, ours), (_, theirs)) = (ours?, theirs?);
                let name = &parameter.name;
                assert!(ours.equal(&(theirs * f64::from(times))), "{kind:?} {name}, {times} times");
            }
            assert!(summed.equal(&(&gradient * f64::from(times))), "{kind:?}: the gaps");
            sum.add(summed)?;
        }
    }
    Ok(())
}

#[test]
fn golden_optimiser_steps_with_clipping_and_moving_average() -> TestResult {
    let s = setup(NormForm::Variance)?;
    let recorded = Recording::open("rdt_train.safetensors")?;
    let rows = s.recorded["train"]["rows"].as_array().ok_or("rows")?;
    let ema_settings: EmaConfig = serde_json::from_value(s.recorded["train"]["ema"].clone())?;
    let initial = s.parameters.flat().detach().copy();
    let mut adam = AdamW::new(s.parameters.layout(), AdamWSettings::default(), Device::Cpu)?;
    let mut ema = Ema::new(ema_settings, s.parameters.flat())?;
    let check = |prefix: &str, flat: &Tensor| -> TestResult {
        for (now, before) in s.parameters.layout().views(flat).zip(s.parameters.layout().views(&initial)) {
            let ((parameter, now), (_, before)) = (now?, before?);
            let theirs = recorded.get(&format!("{prefix}.{}", parameter.name))?;
            assert_close(
                &format!("{prefix}.{}", parameter.name),
                &(now - &before),
                &(theirs - &before),
                5e-6,
            );
        }
        Ok(())
    };
    let conditions = s.conditions()?;
    let actions = s.forward.get("in.action_gt")?;
    for (step, row) in rows.iter().enumerate() {
        let noise = recorded.get(&format!("step{step}.noise"))?;
        let timesteps = recorded.get(&format!("step{step}.timesteps"))?;
        let draw = Draw { conditions: &conditions, actions: &actions, noise: &noise, timesteps: &timesteps };
        let loss = diffusion::loss(&s.network, &s.weights()?, &s.schedule, &draw)?;
        let close = |what: &str, ours: f64, theirs: &Value, tolerance: f64| {
            let theirs = theirs.as_f64().unwrap_or(f64::NAN);
            assert!((ours - theirs).abs() <= tolerance, "step {step}: {what} is {ours}, not {theirs}");
        };
        close("loss", loss.double_value(&[]), &row["loss"], 1e-5);
        let gradient = s.parameters.gradient(&loss)?;
        let norm = gradient.norm();
        close("norm", norm.double_value(&[]), &row["grad_norm_before_clip"], 1e-3);
        let scale = optimizer::clip_scale(&norm, 1.0)?;
        let skip = scale.zeros_like();
        adam.step(s.parameters.flat(), &gradient, 1e-4, &scale, &skip)?;
        close("decay", ema.decay(), &row["ema_decay"], 1e-12);
        ema.update(s.parameters.flat(), 1, &skip)?;
        if recorded.0.names().iter().any(|name| name.starts_with(&format!("step{step}.param."))) {
            check(&format!("step{step}.param"), &s.parameters.flat().detach())?;
        }
    }
    check(&format!("step{}.ema", rows.len() - 1), ema.average())
}

#[test]
fn golden_sampling() -> TestResult {
    let s = setup(NormForm::Variance)?;
    let f = &s.forward;
    let theirs: Vec<i64> = Vec::try_from(f.get("sample.timesteps")?)?;
    let solver = DpmSolver::new(&s.schedule, theirs.len() as i64)?;
    assert_eq!(solver.timesteps(), theirs);
    let mut conditions = s.conditions()?;
    conditions.mask = f.get("sample.action_mask")?;
    let weights = s.weights()?;
    let start = f.get("sample.initial_noise")?;
    let ours = tch::no_grad(|| sampler::sample(&s.network, &weights, &solver, &conditions, &start))?;
    assert_close("actions", &ours, &f.get("sample.pred_action")?, 1e-5);
    Ok(())
}

#[test]
fn golden_schedulers_tables_noise_and_solver_runs() -> TestResult {
    let recorded = Recording::open("schedulers.safetensors")?;
    let described = json("schedulers.json")?;
    let steps = described["ddpm_config"]["num_train_timesteps"].as_i64().ok_or("steps")?;
    let schedule = NoiseSchedule::new(steps, Device::Cpu)?;
    assert_close("betas", schedule.betas(), &recorded.get("ddpm.betas")?, 0.0);
    assert_close("alphas", schedule.alphas_cumprod(), &recorded.get("ddpm.alphas_cumprod")?, 0.0);
    let noisy = schedule.add_noise(
        &recorded.get("add_noise.x")?,
        &recorded.get("add_noise.noise")?,
        &recorded.get("add_noise.t")?,
    )?;
    assert_close("add_noise", &noisy, &recorded.get("add_noise.out")?, 1e-6);
    for run in described["dpm"].as_object().ok_or("dpm")?.keys() {
        let solver = DpmSolver::new(&schedule, run.parse()?)?;
        let theirs: Vec<i64> = Vec::try_from(recorded.get(&format!("dpm{run}.timesteps"))?)?;
        assert_eq!(solver.timesteps(), theirs);
        let sigmas = Tensor::from_slice(solver.sigmas());
        let recorded_sigmas = recorded.get(&format!("dpm{run}.sigmas"))?;
        assert_close("sigmas", &(sigmas / (&recorded_sigmas + 1e-9)), &recorded_sigmas.sign(), 1e-6);
        let mut x = recorded.get(&format!("dpm{run}.init"))?;
        let mut before: Option<Tensor> = None;
        for i in 0..theirs.len() {
            let predicted = recorded.get(&format!("dpm{run}.step{i}.model_output"))?;
            x = solver.step(i, &x, &predicted, before.as_ref())?;
            assert_close(
                &format!("dpm{run} step {i}"),
                &x,
                &recorded.get(&format!("dpm{run}.step{i}.prev_sample"))?,
                1e-6,
            );
            before = Some(predicted);
        }
    }
    Ok(())
}

#[test]
fn golden_schedulers_learning_rates() -> TestResult {
    let described = json("schedulers.json")?;
    let runs = described["lr"].as_object().ok_or("lr")?;
    assert!(!runs.is_empty());
    for (name, run) in runs {
        let number = |key: &str, absent: u64| run["args"][key].as_u64().unwrap_or(absent);
        let kind: ScheduleKind = serde_json::from_value(Value::String(name.clone()))?;
        let rate = LearningRate {
            kind,
            base: run["base_lr"].as_f64().ok_or("base_lr")?,
            warmup_steps: number("num_warmup_steps", 0),
            total_steps: number("num_training_steps", 0),
            cycles: number("num_cycles", 1),
            power: run["args"]["power"].as_f64().unwrap_or(1.0),
        };
        let theirs: Vec<f64> = serde_json::from_value(run["lr_used_by_update_0_1_2..."].clone())?;
        for (step, theirs) in theirs.iter().enumerate() {
            let ours = rate.at(step as u64);
            assert!((ours - theirs).abs() <= 1e-12, "{name} step {step}: {ours} instead of {theirs}");
        }
    }
    Ok(())
}

#[test]
fn golden_metrics() -> TestResult {
    let recorded = Recording::open("metrics.safetensors")?;
    let described = json("metrics.json")?;
    let batches = described["num_sample_batches"].as_u64().ok_or("num_sample_batches")?;
    let mut metrics = SampleMetrics::default();
    for batch in 0..batches {
        let get = |name: &str| recorded.get(&format!("batch{batch}.{name}"));
        let indices: Vec<i64> = Vec::try_from(get("data_indices")?)?;
        let datasets: Vec<&str> =
            indices.iter().filter_map(|i| described["id2name"][i.to_string()].as_str()).collect();
        assert_eq!(datasets.len(), indices.len());
        metrics.add(&Comparison {
            predicted: &get("pred")?,
            actions: &get("actions")?,
            mask: &get("state_elem_mask")?,
            state_norm: &get("state_norm")?,
            datasets: &datasets,
        })?;
    }
    let ours = serde_json::to_value(metrics.figures(batches).rounded)?;
    let theirs = described["result_of_official_log_sample_res"].as_object().ok_or("result")?;
    assert_eq!(ours.as_object().map(|o| o.len()), Some(theirs.len()));
    for (name, theirs) in theirs {
        assert_eq!(&ours[name], theirs, "{name}");
    }
    Ok(())
}
